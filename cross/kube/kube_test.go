package kube

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/frondmq/frond/core/config"
)

// The sample is what Kubernetes takes, and its parts fit each other and frond.
func TestSample_decodes_strictly(t *testing.T) {
	text, err := os.ReadFile("../../firmware/samples/kubernetes.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var conf corev1.ConfigMap
	var service corev1.Service
	var set appsv1.StatefulSet
	kinds := map[string]any{"ConfigMap": &conf, "Service": &service, "StatefulSet": &set}
	for _, doc := range strings.Split(string(text), "\n---\n") {
		var kind struct {
			Kind       string `json:"kind"`
			APIVersion string `json:"apiVersion"`
		}
		if err := yaml.Unmarshal([]byte(doc), &kind); err != nil {
			t.Fatal(err)
		}
		into := kinds[kind.Kind]
		if into == nil {
			t.Fatalf("a %q, or a second one", kind.Kind)
		}
		delete(kinds, kind.Kind)
		if want := map[bool]string{true: "apps/v1", false: "v1"}[kind.Kind == "StatefulSet"]; kind.APIVersion != want {
			t.Errorf("%s of %s, want %s", kind.Kind, kind.APIVersion, want)
		}
		if err := yaml.UnmarshalStrict([]byte(doc), into); err != nil {
			t.Errorf("%s: %v", kind.Kind, err)
		}
	}
	if len(kinds) > 0 {
		t.Fatalf("missing: %v", kinds)
	}

	pod := set.Spec.Template
	c := pod.Spec.Containers[0]
	if set.Spec.ServiceName != service.Name || !fits(set.Spec.Selector.MatchLabels, pod.Labels) || !fits(service.Spec.Selector, pod.Labels) {
		t.Error("service, set and pod do not find each other")
	}
	ports := make(map[string]int32)
	for _, p := range c.Ports {
		ports[p.Name] = p.ContainerPort
	}
	for _, p := range service.Spec.Ports {
		if ports[p.Name] != p.Port {
			t.Errorf("port %s is %d at the service and %d at the container", p.Name, p.Port, ports[p.Name])
		}
	}
	for _, p := range []*corev1.Probe{c.StartupProbe, c.ReadinessProbe, c.LivenessProbe} {
		if p == nil || ports[p.HTTPGet.Port.StrVal] == 0 || !strings.HasPrefix(p.HTTPGet.Path, "/healthz") {
			t.Errorf("a probe of %+v", p)
		}
	}
	// Every mount has its volume, and frond's file is on one.
	volumes := []string{}
	for _, v := range pod.Spec.Volumes {
		volumes = append(volumes, v.Name)
	}
	for _, v := range set.Spec.VolumeClaimTemplates {
		volumes = append(volumes, v.Name)
	}
	mounts := []string{}
	for _, m := range c.VolumeMounts {
		mounts = append(mounts, m.MountPath)
		if !slices.Contains(volumes, m.Name) {
			t.Errorf("no volume %s", m.Name)
		}
	}
	name := filepath.Base(c.Args[1])
	if c.Args[0] != "-c" || !slices.Contains(mounts, filepath.Dir(c.Args[1])) || conf.Data[name] == "" {
		t.Errorf("arguments %q, mounts %q", c.Args, mounts)
	}
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(conf.Data[name]), 0o600); err != nil {
		t.Fatal(err)
	}
	o, warns, err := config.ParseFile(file)
	if err != nil || len(warns) > 0 {
		t.Fatalf("%v %v", err, warns)
	}
	if int32(o.Port) != ports["client"] || int32(o.HTTPPort) != ports["monitor"] || !slices.Contains(mounts, o.JetStream.StoreDir) || !slices.Contains(mounts, filepath.Dir(o.PidFile)) {
		t.Errorf("frond listens on %d and %d, stores in %s, ports are %v, mounts %q", o.Port, o.HTTPPort, o.JetStream.StoreDir, ports, mounts)
	}
}

func fits(selector, labels map[string]string) bool {
	for k, v := range selector {
		if labels[k] != v {
			return false
		}
	}
	return len(selector) > 0
}

// A word that Kubernetes does not know is noticed.
func TestSample_a_wrong_word_is_an_error(t *testing.T) {
	var set appsv1.StatefulSet
	if yaml.UnmarshalStrict([]byte("apiVersion: apps/v1\nkind: StatefulSet\nspec: { replica: 1 }\n"), &set) == nil {
		t.Error("spec.replica is accepted")
	}
}
