//go:build !linux

package core

import "runtime/metrics"

// What is not asked of systems other than Linux has a fixed answer.
const (
	assumedMemory = 1 << 30
	assumedDisk   = 1 << 30
)

func cgroupMemory(string) int64 { return 0 }

func memoryTotal() int64 { return assumedMemory }

func memoryUsed() int64 {
	s := []metrics.Sample{{Name: "/memory/classes/total:bytes"}}
	metrics.Read(s)
	return int64(s[0].Value.Uint64())
}

func diskFree(string) int64 { return assumedDisk }

func cpuTime() int64 { return 0 }
