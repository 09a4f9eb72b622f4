package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/frondmq/frond/cross/build"
)

// The image follows the OCI image format (https://specs.opencontainers.org/image-spec/):
// one file, an OCI layout in a tarball, which container engines and registries'
// tools load as it is. There is nothing in it but the program, under its own
// name and under the one that charts made for nats-server call.
type (
	ociDescriptor struct {
		MediaType   string            `json:"mediaType"`
		Digest      string            `json:"digest"`
		Size        int64             `json:"size"`
		Platform    *ociPlatform      `json:"platform,omitempty"`
		Annotations map[string]string `json:"annotations,omitempty"`
	}
	ociPlatform struct {
		Architecture string `json:"architecture"`
		OS           string `json:"os"`
		Variant      string `json:"variant,omitempty"`
	}
	ociIndex struct {
		Schema    int             `json:"schemaVersion"`
		MediaType string          `json:"mediaType"`
		Manifests []ociDescriptor `json:"manifests"`
	}
	ociManifest struct {
		Schema    int             `json:"schemaVersion"`
		MediaType string          `json:"mediaType"`
		Config    ociDescriptor   `json:"config"`
		Layers    []ociDescriptor `json:"layers"`
	}
	ociConfig struct {
		Created string `json:"created"`
		ociPlatform
		Config  ociRun     `json:"config"`
		RootFS  ociRoot    `json:"rootfs"`
		History []ociEvent `json:"history"`
	}
	ociRun struct {
		Env        []string            `json:"Env"`
		Entrypoint []string            `json:"Entrypoint"`
		Cmd        []string            `json:"Cmd"`
		WorkingDir string              `json:"WorkingDir"`
		Ports      map[string]struct{} `json:"ExposedPorts"`
		Labels     map[string]string   `json:"Labels"`
		StopSignal string              `json:"StopSignal"`
	}
	ociRoot struct {
		Type    string   `json:"type"`
		DiffIDs []string `json:"diff_ids"`
	}
	ociEvent struct {
		Created   string `json:"created"`
		CreatedBy string `json:"created_by"`
	}
)

const (
	mediaIndex    = "application/vnd.oci.image.index.v1+json"
	mediaManifest = "application/vnd.oci.image.manifest.v1+json"
	mediaConfig   = "application/vnd.oci.image.config.v1+json"
	mediaLayer    = "application/vnd.oci.image.layer.v1.tar+gzip"
)

// platforms are what the image is made for, by the machine that it runs on.
func platforms() map[string]ociPlatform {
	return map[string]ociPlatform{
		"linux-amd64":   {"amd64", "linux", ""},
		"linux-arm64":   {"arm64", "linux", "v8"},
		"linux-armv7":   {"arm", "linux", "v7"},
		"linux-armv6":   {"arm", "linux", "v6"},
		"linux-riscv64": {"riscv64", "linux", ""},
	}
}

func (r *release) container() error {
	l := &layout{blobs: make(map[string][]byte)}
	index := ociIndex{Schema: 2, MediaType: mediaIndex}
	for _, t := range build.Matrix() {
		p, ok := platforms()[t.Name]
		if !ok || !r.only.MatchString(t.Name) {
			continue
		}
		program, err := r.compile(build.Full(), t)
		if err != nil {
			return err
		}
		m, err := l.image(program, p, r.version, r.at)
		if err != nil {
			return err
		}
		index.Manifests = append(index.Manifests, m)
	}
	if len(index.Manifests) == 0 {
		return errors.New("no machine of the image matches")
	}
	whole, err := l.json(mediaIndex, index)
	if err != nil {
		return err
	}
	whole.Annotations = map[string]string{"org.opencontainers.image.ref.name": r.version}
	name := fmt.Sprintf("frond-%s-oci.tar", r.version)
	if err := l.write(filepath.Join(r.out, name), r.at, ociIndex{2, mediaIndex, []ociDescriptor{whole}}); err != nil {
		return err
	}
	r.note(name)
	return nil
}

// layout gathers blobs by their digest.
type layout struct{ blobs map[string][]byte }

func (l *layout) blob(media string, b []byte) ociDescriptor {
	sum := fmt.Sprintf("%x", sha256.Sum256(b))
	l.blobs[sum] = b
	return ociDescriptor{MediaType: media, Digest: "sha256:" + sum, Size: int64(len(b))}
}

func (l *layout) json(media string, v any) (ociDescriptor, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return ociDescriptor{}, err
	}
	return l.blob(media, b), nil
}

// image adds the image for one machine.
func (l *layout) image(program []byte, p ociPlatform, version string, at time.Time) (ociDescriptor, error) {
	plain, err := rootFS(program, at)
	if err != nil {
		return ociDescriptor{}, err
	}
	var packed bytes.Buffer
	gz, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return ociDescriptor{}, err
	}
	if _, err := gz.Write(plain); err != nil {
		return ociDescriptor{}, err
	}
	if err := gz.Close(); err != nil {
		return ociDescriptor{}, err
	}
	layer := l.blob(mediaLayer, packed.Bytes())
	created := at.Format(time.RFC3339)
	config, err := l.json(mediaConfig, ociConfig{
		Created: created, ociPlatform: p,
		Config: ociRun{
			Env:        []string{"PATH=/"},
			Entrypoint: []string{"/frond"},
			Cmd:        []string{"-c", "/etc/frond/frond.conf"},
			WorkingDir: "/",
			Ports:      map[string]struct{}{"1883/tcp": {}, "4222/tcp": {}, "7422/tcp": {}, "8222/tcp": {}},
			Labels: map[string]string{
				"org.opencontainers.image.title":    "frond",
				"org.opencontainers.image.version":  version,
				"org.opencontainers.image.licenses": "Apache-2.0",
				"org.opencontainers.image.source":   "https://github.com/frondmq/frond",
			},
			StopSignal: "SIGTERM",
		},
		RootFS:  ociRoot{"layers", []string{fmt.Sprintf("sha256:%x", sha256.Sum256(plain))}},
		History: []ociEvent{{created, "frond release container"}},
	})
	if err != nil {
		return ociDescriptor{}, err
	}
	m, err := l.json(mediaManifest, ociManifest{2, mediaManifest, config, []ociDescriptor{layer}})
	m.Platform = &p
	return m, err
}

// rootFS is the one layer: the program, the name that charts call it by, and
// the folders that it is given.
func rootFS(program []byte, at time.Time) ([]byte, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	base := tar.Header{ModTime: at, Format: tar.FormatUSTAR}
	add := func(h tar.Header, body []byte) error {
		h.Size = int64(len(body))
		if err := w.WriteHeader(&h); err != nil {
			return err
		}
		_, err := w.Write(body)
		return err
	}
	var errs []error
	for _, dir := range []string{"etc/", "etc/frond/", "tmp/", "var/", "var/lib/", "var/lib/frond/", "var/run/"} {
		h := base
		h.Name, h.Typeflag, h.Mode = dir, tar.TypeDir, 0o755
		if dir == "tmp/" {
			h.Mode = 0o1777
		}
		errs = append(errs, add(h, nil))
	}
	h := base
	h.Name, h.Typeflag, h.Mode = "frond", tar.TypeReg, 0o755
	errs = append(errs, add(h, program))
	h = base
	h.Name, h.Typeflag, h.Mode, h.Linkname = "nats-server", tar.TypeSymlink, 0o777, "frond"
	errs = append(errs, add(h, nil), w.Close())
	return b.Bytes(), errors.Join(errs...)
}

func (l *layout) write(file string, at time.Time, index ociIndex) error {
	top, err := json.Marshal(index)
	if err != nil {
		return err
	}
	files := []entry{
		{name: "oci-layout", body: []byte(`{"imageLayoutVersion":"1.0.0"}`)},
		{name: "index.json", body: top},
	}
	for sum, b := range l.blobs {
		files = append(files, entry{name: "blobs/sha256/" + sum, body: b})
	}
	return create(file, func(w io.Writer) error { return writeTar(w, "", at, files) })
}
