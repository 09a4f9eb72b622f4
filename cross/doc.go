// Package cross guards what the binaries are made of: which packages each room
// may import, which packages the edge build links, and how big it gets on the
// small machines it is made for.
//
// What for: floors_test.go holds the import rule, linked_test.go the committed
// lists linked_edge.txt and linked_lite.txt, house_test.go the house rules a
// machine can check. The commands below it build for other machines: cross/size
// holds the builds against their gates (`make size`), cross/release (a
// module of its own) packs archives, packages and the container image
// (`make release`), cross/summary prints a test run's own counts for
// CI, cross/mutants shows that the tests notice weakened code (`make mutants`).
//
// What not: no compiler but Go's is needed, and nothing here is linked into
// frond.
//
// Where to start: build.Targets for the machines, floors_test.go for the rule.
package cross
