package cond

import "sync"

// Var is a condition variable: Wait, Signal and Broadcast are called by who holds
// its lock, and who waits looks at the condition again when Wait returns, since
// somebody else may have been quicker.
type Var struct {
	lock    *sync.Mutex
	waiting int           // of those who wait, how many nobody has woken; under lock
	wake    chan struct{} // one for each who was woken and does not run yet
}

// New makes a condition variable for a lock. No more goroutines may wait at once
// than most.
func New(lock *sync.Mutex, most int) Var {
	return Var{lock: lock, wake: make(chan struct{}, most)}
}

// Wait lets go of the lock until it is woken, and has it again when it returns.
func (v *Var) Wait() {
	v.waiting++
	v.lock.Unlock()
	<-v.wake
	v.lock.Lock()
}

// Signal wakes one who waits, if there is one.
func (v *Var) Signal() {
	if v.waiting > 0 {
		v.waiting--
		v.wake <- struct{}{} // never blocks: there is room for all who can wait
	}
}

// Broadcast wakes all who wait.
func (v *Var) Broadcast() {
	for v.waiting > 0 {
		v.Signal()
	}
}
