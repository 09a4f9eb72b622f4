package main

import "testing"

func TestInterval_is_the_table_of_the_sign_test(t *testing.T) {
	for _, c := range []struct {
		n         int
		low, high float64
		ok        bool
	}{{5, 1, 5, false}, {6, 1, 6, true}, {8, 1, 8, true}, {9, 2, 8, true}, {12, 3, 10, true}, {20, 6, 15, true}} {
		v := make([]float64, c.n)
		for i := range v {
			v[i] = float64(c.n - i)
		}
		if low, high, ok := interval(v); low != c.low || high != c.high || ok != c.ok {
			t.Errorf("n=%d: %v..%v %v, want %v..%v %v", c.n, low, high, ok, c.low, c.high, c.ok)
		}
	}
}

func TestMedian(t *testing.T) {
	if m := median([]float64{3, 1, 2}); m != 2 {
		t.Error(m)
	}
	if m := median([]float64{4, 1, 2, 3}); m != 2.5 {
		t.Error(m)
	}
}
