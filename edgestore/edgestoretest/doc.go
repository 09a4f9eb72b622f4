// Package edgestoretest has the one test suite that every edgestore.Store must
// pass, a dumb model to compare stores with, and an in-memory stand-in for the
// journal that blobs are read back from. It is no promise to other programs: it
// changes without notice.
//
// Start with Run; Random compares a store with the model over random
// operations, crashes and replays.
package edgestoretest
