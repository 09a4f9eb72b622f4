package mqttconf

import (
	"context"
	"reflect"
	"sync"
)

// Run are the checks of both standards on one server, each done at most once though
// several statements may have it.
type Run struct {
	ctx    context.Context
	target *Target

	mu   sync.Mutex
	done map[runKey]func() Outcome
}

type runKey struct {
	version byte
	check   uintptr
}

// NewRun does nothing yet.
func NewRun(ctx context.Context, target *Target) *Run {
	return &Run{ctx: ctx, target: target, done: map[runKey]func() Outcome{}}
}

// Outcome is how the server does with one statement.
func (r *Run) Outcome(version byte, s *Statement) Outcome {
	switch {
	case s.Check != nil:
		return r.check(version, s.Check)()
	case s.ForServers():
		return Outcome{wordNoCase, s.Why}
	}
	return Outcome{Word: s.Why}
}

func (r *Run) check(version byte, check func(*Exam)) func() Outcome {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := runKey{version, reflect.ValueOf(check).Pointer()}
	if r.done[key] == nil {
		r.done[key] = sync.OnceValue(func() Outcome { return examine(r.ctx, r.target, version, check) })
	}
	return r.done[key]
}

// atOnce is how many checks run beside each other: most of their time they wait.
const atOnce = 12

// All does all checks, and returns when all are done.
func (r *Run) All() {
	todo := make(chan func() Outcome)
	var work sync.WaitGroup
	for range atOnce {
		work.Go(func() {
			for f := range todo {
				f()
			}
		})
	}
	for _, standard := range Standards() {
		for _, s := range standard.Statements {
			if s.Check != nil {
				todo <- r.check(standard.Version, s.Check)
			}
		}
	}
	close(todo)
	work.Wait()
}
