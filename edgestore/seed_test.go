package edgestore_test

import "flag"

var seedFlag = flag.Uint64("seed", 0, "added to the seeds of random tests")
