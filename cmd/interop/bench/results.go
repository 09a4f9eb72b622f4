package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/frondmq/frond/cmd/interop/peers"
)

// report is one run as it is kept: every pair, so that anybody can count again.
type report struct {
	Time      time.Time `json:"time"`
	Commit    string    `json:"commit"`
	Against   string    `json:"against"` // versions, or a commit
	Go        string    `json:"go"`
	Processor string    `json:"processor"`
	Cores     int       `json:"cores"`
	Load      string    `json:"load_average"` // of the machine at the end
	Lines     []result  `json:"lines"`
	Figures   []figure  `json:"figures,omitempty"`
}

// result is one line of the table.
type result struct {
	Load     string    `json:"load"`
	Rival    string    `json:"rival"`
	Unit     string    `json:"unit"`
	Messages int       `json:"messages"` // of one run
	Ours     []float64 `json:"ours"`
	Theirs   []float64 `json:"theirs"`
	OurCPU   []float64 `json:"our_cpu_us"` // a message
	TheirCPU []float64 `json:"their_cpu_us"`
	Ratios   []float64 `json:"ratios"` // above 1: ours is better
	Median   float64   `json:"median"`
	Low      float64   `json:"low"` // of the 95 % interval
	High     float64   `json:"high"`
}

func newResult(l *load, rival string, ours, theirs []sample, ratios []float64) result {
	r := result{Load: l.name, Rival: rival, Unit: l.unit, Messages: l.n, Ratios: ratios, Median: median(ratios)}
	r.Low, r.High, _ = interval(ratios)
	for i := range ours {
		r.Ours, r.OurCPU = append(r.Ours, ours[i].value), append(r.OurCPU, ours[i].cpuEach())
		r.Theirs, r.TheirCPU = append(r.Theirs, theirs[i].value), append(r.TheirCPU, theirs[i].cpuEach())
	}
	return r
}

// write keeps the run in a file that is named after its time and commit.
func (b *bench) write(ctx context.Context, dir, ref string) error {
	root, err := peers.ProductRoot()
	if err != nil {
		return err
	}
	commit, err := command(ctx, root, "git", "describe", "--always", "--dirty")
	if err != nil {
		return err
	}
	against := "nats-server " + peers.StockVersion + ", mosquitto"
	if ref != "" {
		if against, err = command(ctx, root, "git", "rev-parse", "--short", ref); err != nil {
			return err
		}
	}
	load, _ := os.ReadFile("/proc/loadavg")
	r := report{
		Time: time.Now().UTC(), Commit: commit, Against: against, Go: runtime.Version(), Processor: processor(),
		Cores: runtime.NumCPU(), Load: strings.TrimSpace(string(load)), Lines: b.lines, Figures: b.figures,
	}
	text, err := json.MarshalIndent(&r, "", " ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	file := filepath.Join(dir, fmt.Sprintf("%s-%s.json", r.Time.Format("20060102-150405"), commit))
	fmt.Println(file)
	return os.WriteFile(file, append(text, '\n'), 0o644)
}

// processor is the model that the kernel names.
func processor() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}
