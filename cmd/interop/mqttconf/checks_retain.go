package mqttconf

// retains is a client, if the server keeps retained messages.
func retains(x *Exam) *Client {
	c := x.connect()
	if number(c.given, pRetainAvailable, 1) == 0 {
		x.NoCase("the server keeps no retained messages")
	}
	return c
}

// keptAt is what a new subscription gets from before. Another filter of the same
// SUBSCRIBE, to which something is retained in any case, shows the end of it.
func (x *Exam) keptAt(p *Client, name string, options byte) []message {
	p.publish(publication{topic: x.topic("sentinel"), payload: "sentinel", qos: 1, retain: true})
	return x.connect().keptFor(x.topic(name), options)
}

// keptFor makes or repeats a subscription.
func (c *Client) keptFor(name string, options byte) []message {
	c.subscribes(filter{name, options}, filter{c.x.topic("sentinel"), 1})
	return c.upTo("sentinel")
}

// keeps differs unless exactly that is retained, "" for nothing.
func (x *Exam) keeps(p *Client, name, payload string) {
	got := x.keptAt(p, name, 1)
	switch {
	case payload == "" && len(got) > 0:
		x.Differ("something is retained that may not be")
	case payload == "":
	case len(got) == 0:
		x.Differ("nothing is retained")
	case len(got) > 1:
		x.Differ("a retained message comes %d times", len(got))
	case got[0].payload != payload:
		x.Differ("another message is retained")
	case !got[0].retain:
		x.Differ("a retained message comes without RETAIN")
	}
}

// retainedReplaced: the last one is stored, with its QoS.
func retainedReplaced(x *Exam) {
	p := retains(x)
	p.publish(publication{topic: x.topic("a"), payload: "old", qos: 1, retain: true})
	x.keeps(p, "a", "old")
	p.publish(publication{topic: x.topic("a"), payload: "new", qos: 1, retain: true})
	x.keeps(p, "a", "new")
	if got := x.keptAt(p, "a", 1); got[0].qos != 1 {
		x.Differ("a retained message with QoS 1 comes with QoS 0")
	}
}

// retainedQoS0 replaces the one before.
func retainedQoS0(x *Exam) {
	p := retains(x)
	p.publish(publication{topic: x.topic("a"), payload: "old", qos: 1, retain: true})
	x.keeps(p, "a", "old")
	p.publish(publication{topic: x.topic("a"), payload: "new", retain: true})
	p.ping()
	for _, m := range x.keptAt(p, "a", 1) {
		if m.payload != "new" {
			x.Differ("a retained message with QoS 0 does not replace the one before")
		}
	}
}

// retainedForAll matching topics, the last of each.
func retainedForAll(x *Exam) {
	p := retains(x)
	for _, name := range []string{"a/1", "a/2", "a/3"} {
		p.publish(publication{topic: x.topic(name), payload: "old", qos: 1, retain: true})
		p.publish(publication{topic: x.topic(name), payload: name, qos: 1, retain: true})
	}
	seen := map[string]bool{}
	for _, m := range x.keptAt(p, "a/+", 0) {
		if m.topic != x.topic(m.payload) || !m.retain {
			x.Differ("not the last message of each topic, with RETAIN")
		}
		seen[m.payload] = true
	}
	if len(seen) != 3 {
		x.Differ("%d of 3 retained messages come", len(seen))
	}
}

// retainedRemoved by an empty payload, which is delivered as any.
func retainedRemoved(x *Exam) {
	p := retains(x)
	p.publish(publication{topic: x.topic("a"), payload: "kept", qos: 1, retain: true})
	x.keeps(p, "a", "kept")
	listener := x.connect()
	listener.subscribe(x.topic("a"), 1)
	listener.next("what is retained")
	p.publish(publication{topic: x.topic("a"), payload: "", qos: 1, retain: true})
	if listener.next("the empty message").payload != "" {
		x.Differ("another message")
	}
	x.keeps(p, "a", "")
}

// emptyNotRetained, whether there was one or not.
func emptyNotRetained(x *Exam) {
	p := retains(x)
	p.publish(publication{topic: x.topic("a"), payload: "", qos: 1, retain: true})
	x.keeps(p, "a", "")
	retainedRemoved(x)
}

// liveNotRetained: without the flag nothing is stored, removed or replaced.
func liveNotRetained(x *Exam) {
	p := retains(x)
	p.publish(publication{topic: x.topic("b"), payload: "live", qos: 1})
	x.keeps(p, "b", "")
	p.publish(publication{topic: x.topic("a"), payload: "kept", qos: 1, retain: true})
	p.publish(publication{topic: x.topic("a"), payload: "live", qos: 1})
	p.publish(publication{topic: x.topic("a"), payload: "", qos: 1})
	x.keeps(p, "a", "kept")
}

// retainFlagOfOld and retainFlagOfLive: set for what was there before, not for what
// comes live.
func retainFlagOfOld(x *Exam) {
	p := retains(x)
	p.publish(publication{topic: x.topic("a"), payload: "kept", qos: 1, retain: true})
	for _, qos := range []byte{0, 1} {
		got := x.keptAt(p, "a", qos)
		if len(got) != 1 || !got[0].retain {
			x.Differ("a retained message comes without RETAIN")
		}
	}
}

func retainFlagOfLive(x *Exam) {
	listener, p := established(x, 1)
	for _, retain := range []bool{true, false} {
		p.publish(publication{topic: x.topic("a"), payload: "x", qos: 1, retain: retain})
		if listener.next("a message").retain {
			x.Differ("a live message comes with RETAIN")
		}
	}
}

// established is a subscription that has got what was retained before, and a client
// that publishes.
func established(x *Exam, options byte) (listener, p *Client) {
	p, listener = retains(x), x.connect()
	p.publish(publication{topic: x.topic("sentinel"), payload: "sentinel", qos: 1, retain: true})
	if len(listener.keptFor(x.topic("a"), options)) > 0 {
		x.Differ("something is retained that was never published")
	}
	return listener, p
}

// retainFlagKept is Retain As Published.
func retainFlagKept(x *Exam) {
	listener, p := established(x, 1|asPublished)
	for _, retain := range []bool{true, false} {
		p.publish(publication{topic: x.topic("a"), payload: "x", qos: 1, retain: retain})
		if listener.next("a message").retain != retain {
			x.Differ("RETAIN is not as published")
		}
	}
}

// retainHandling is how many come for a new subscription, and for the same again.
func retainHandling(x *Exam, options byte, fresh, again int) {
	p := retains(x)
	p.publish(publication{topic: x.topic("a"), payload: "kept", qos: 1, retain: true})
	p.publish(publication{topic: x.topic("sentinel"), payload: "sentinel", qos: 1, retain: true})
	c := x.connect()
	for i, want := range []int{fresh, again} {
		if got := len(c.keptFor(x.topic("a"), options)); got != want {
			x.Differ("%d retained messages for subscription %d, instead of %d", got, i+1, want)
		}
	}
}

func retainHandling0(x *Exam) { retainHandling(x, 1, 1, 1) }
func retainHandling1(x *Exam) { retainHandling(x, 1|retainOnce, 1, 0) }
func retainHandling2(x *Exam) {
	retainHandling(x, 1|retainNever, 0, 0)
	retainHandling0(x) // of the same topic: there is one
}
