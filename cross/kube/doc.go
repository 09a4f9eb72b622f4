// Package kube holds a test only: the sample for Kubernetes in firmware/samples
// is decoded with the types of Kubernetes' own API, where a word that is not
// one of theirs is an error.
//
// What for: whoever copies the sample gets what he reads. What not: no cluster
// is asked. It is a module of its own, so that k8s.io/api is nobody else's
// dependency. Where to start: kube_test.go.
package kube
