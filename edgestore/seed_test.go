package edgestore_test

import (
	"flag"
	"os"
	"time"
)

// soaking is the long form of the random tests: more rounds, and other seeds
// each time. make soak asks for it.
var soaking = os.Getenv("FROND_SOAK") != ""

var seedFlag = flag.Uint64("seed", firstSeed(), "added to the seeds of random tests")

func firstSeed() uint64 {
	if soaking {
		return uint64(time.Now().UnixNano())
	}
	return 0
}

// rounds is how often a random test tries.
func rounds(short, long int) int {
	if soaking {
		return long
	}
	return short
}
