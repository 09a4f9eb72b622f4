// Command release makes what people install from one commit: archives for
// every machine, packages, and a container image, each with a list of what is
// in it, and the checksums of all with a signature.
//
//	release archives|packages|container [-version V] [-out DIR] [-only REGEXP] [-key FILE]
//
// What for: `make release`, `make packages`, `make container`. It is a module
// of its own, so that the tools it needs (nfpm for packages, minisign for
// signatures) are nobody else's dependencies. What not: it uploads nothing, and
// keeps no secret: the key comes from a file that is named, its password from
// FROND_KEY_PASSWORD.
//
// The same commit gives the same bytes, whoever builds where: times are the
// commit's, owners are root, names are sorted, paths are cut from the binaries.
//
// Where to start: main.go for the steps, contents.go for what goes along with
// the program, archive.go for the files themselves.
package main
