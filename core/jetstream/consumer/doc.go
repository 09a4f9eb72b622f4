// Package consumer is the pure half of a JetStream consumer: what it was asked
// to be (Config), what it has delivered and what was acknowledged (Machine),
// and what is to be done next. It is no promise to other programs: it changes
// without notice.
//
// It has no goroutine, no clock, no store and no socket. Time is an argument,
// in nanoseconds since 1970 on a clock that does not jump while the machine
// lives. What must be done outside comes back as values: a Delivery, or an
// Effects that the caller keeps and reuses. A Machine is used by one goroutine
// at a time. It does not publish, it does not remove messages from a stream and
// it does not decide what is durable.
//
// # The loop of the caller
//
// Config.Check, then StartOf once, New, Activate (or ApplySnapshot, ApplyDelta
// and Recover) and Recount. SetActive tells a push consumer of its listeners.
//
//	fx.Reset()
//	m.Tick(now, &fx)               // when NextDeadline has passed; perform fx
//	for budget > 0 {
//		w := m.Next(now, &fx)      // perform fx
//		switch w.Kind {
//		case WantNothing:          // sleep until NextDeadline or an input
//		case WantNew:              // store.LoadNext(m.Filters(), w.Seq);
//			                       // none: m.CaughtUp(now, lastSeq, &fx)
//		case WantSeq:              // store.Load(w.Seq); gone: m.Removed(w.Seq, …)
//		}
//		d, ok := m.Deliver(now, &candidate, &fx)
//		if ok {
//			// publish to d.To, shown as the stored subject, reply d.Reply
//			// nobody there: m.Undelivered(now, &fx)
//		}
//		// perform fx: after the message, since a status may close its batch
//	}
//	delta = m.TakeDelta(delta[:0]) // append to the log when not empty
//
// Inputs at any time: Pull, Ack, Appended, Removed, SetActive, FlowReply, Pause,
// Update, Reset.
//
// # What is kept
//
// Changes that must survive are collected as a delta. TakeDelta hands out what
// came together since the last call, ApplyDelta repeats it on another Machine
// that started from the same snapshot: recovery is ApplySnapshot, then
// ApplyDelta for each, then Recover. Waiting pull requests, flow control, pins
// and timers are not kept; they begin anew. Since deliveries are logged but not
// waited for, an acknowledgement may name a delivery that a crash forgot; after
// Recover such an acknowledgement is accepted once.
//
// Where to start reading: Machine (its laws stand above the type), then
// deliver.go for the way of a message and acking.go for its way back.
//
// Behaviour follows the public NATS documentation and ADR-9, 13, 15, 17, 34,
// 37, 42 and 60.
package consumer
