// Package build knows the machines frond is built for and how: static,
// stripped, without the builder's paths.
//
// What for: cross/size and cross/release. What not: it does not choose what is
// in a build; build tags do. Where to start: Targets.
package build
