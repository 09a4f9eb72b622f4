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

// A line goes on with more pairs as long as it shows nothing.
func TestWide(t *testing.T) {
	for _, x := range []struct {
		ratios []float64
		want   bool
	}{
		{[]float64{1, 1.01, 1.02, 1, 0.99, 1, 1.01, 1, 1}, false},
		{[]float64{1, 2, 0.5, 1.5, 0.7, 1, 1.8, 0.6, 1.2}, true},
		{[]float64{1, 2}, false}, // too few for an interval: more would be asked for with -pairs
	} {
		if got := wide(x.ratios); got != x.want {
			t.Errorf("%v: %v", x.ratios, got)
		}
	}
}

// What is kept of a line has all its pairs.
func TestNewResult(t *testing.T) {
	s := []sample{{value: 2, messages: 10, cpu: 20_000}, {value: 4, messages: 10, cpu: 40_000}}
	r := newResult(&load{name: "x", unit: "/s", n: 10}, "y", s, s, []float64{1, 1})
	if r.Load != "x" || r.Rival != "y" || len(r.Ours) != 2 || r.Theirs[1] != 4 || r.OurCPU[0] != 2 || r.Median != 1 {
		t.Errorf("%+v", r)
	}
}
