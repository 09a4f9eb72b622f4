package main

import (
	"math"
	"slices"
)

func median(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	n := len(s)
	if n == 0 {
		return math.NaN()
	}
	if n%2 == 1 {
		return s[n/2]
	}
	return (s[n/2-1] + s[n/2]) / 2
}

// interval is the confidence interval of the median by order statistics: with
// n independent values the median lies between the k-th smallest and the k-th
// largest unless fewer than k lie on one side of it, which is a binomial tail.
// It is the narrowest such interval with at least 95 %. Below six values there
// is none; ok is false and the range is returned.
func interval(v []float64) (low, high float64, ok bool) {
	s := slices.Sorted(slices.Values(v))
	n := len(s)
	if n == 0 {
		return math.NaN(), math.NaN(), false
	}
	k, tail, p := 0, 0.0, math.Pow(0.5, float64(n))
	for i := 0; i < n; i++ {
		if tail += p; 2*tail > 0.05 {
			break
		}
		k = i + 1
		p *= float64(n-i) / float64(i+1)
	}
	if k == 0 {
		return s[0], s[n-1], false
	}
	return s[k-1], s[n-k], true
}
