package jsclienttest

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/frondmq/frond/core/jetstream/asset"
	"github.com/frondmq/frond/core/jetstream/jsclient"
)

var streamCases = []testCase{
	{name: "a stream is made once, and made what is wanted", run: func(h *harness) {
		first := h.stream(func(c *jsclient.StreamConfig) { c.Metadata = map[string]string{"a": "1"} })
		if c := first.Config; c.MaxMsgs != -1 || c.Replicas != 1 || c.Duplicates == 0 || c.Storage != asset.FileStorage {
			h.Errorf("made as %+v", c)
		}
		h.put("x", "kept")
		_, err := h.c.Update(h.ctx, h.name, func(c *jsclient.StreamConfig) { c.Metadata["operator"] = "b" })
		h.ok(err)
		want := h.config()
		want.MaxMsgs, want.MaxAge = 10, time.Hour
		want.Subjects = append(want.Subjects, h.name+"_more")
		for range 2 {
			i, err := h.c.Ensure(h.ctx, want)
			h.ok(err)
			if c := i.Config; c.MaxMsgs != 10 || c.MaxAge != time.Hour || !slices.Equal(c.Subjects, want.Subjects) || c.Duplicates != first.Config.Duplicates ||
				c.Metadata["a"] != "1" || c.Metadata["operator"] != "b" {
				h.Errorf("updated to %+v", c)
			}
			if !i.Created.Equal(first.Created) || i.State.Msgs != 1 {
				h.Errorf("created %v with %d messages, first %v", i.Created, i.State.Msgs, first.Created)
			}
		}
		i, err := h.c.Ensure(h.ctx, h.config())
		h.ok(err)
		if c := i.Config; c.MaxMsgs != -1 || c.MaxAge != 0 || len(c.Subjects) != 1 {
			h.Errorf("brought back to %+v", c)
		}
		want = h.config()
		want.Storage = asset.MemoryStorage
		_, err = h.c.Ensure(h.ctx, want)
		h.code("another storage", err, 10052)
	}},
	{name: "an update that changes nothing is not sent", run: func(h *harness) {
		h.stream()
		before, err := h.c.Info(h.ctx, h.name)
		h.ok(err)
		after, err := h.c.Update(h.ctx, h.name, func(*jsclient.StreamConfig) {})
		h.ok(err)
		if !maps.Equal(before.Config.Metadata, after.Config.Metadata) || !slices.Equal(before.Config.Subjects, after.Config.Subjects) {
			h.Errorf("%+v became %+v", before.Config, after.Config)
		}
		_, err = h.c.Update(h.ctx, h.name, func(c *jsclient.StreamConfig) { c.Subjects[0] = h.name + "_other.>" })
		h.ok(err)
		after, err = h.c.Info(h.ctx, h.name)
		h.ok(err)
		if after.Config.Subjects[0] != h.name+"_other.>" || !after.Config.AllowDirect {
			h.Errorf("changed to %+v", after.Config)
		}
	}},
	{name: "many make one stream", run: func(h *harness) {
		h.stream()
		h.ok(h.c.Delete(h.ctx, h.name))
		const makers = 8
		infos := make([]*jsclient.StreamInfo, makers)
		errs := make([]error, makers)
		var work sync.WaitGroup
		for n := range makers {
			work.Go(func() {
				cfg := h.config()
				cfg.MaxMsgs = int64(n%2) + 5 // and they do not agree
				infos[n], errs[n] = h.c.Ensure(h.ctx, cfg)
			})
		}
		work.Wait()
		for n := range makers {
			if errs[n] != nil {
				h.Errorf("maker %d: %v", n, errs[n])
			} else if !infos[n].Created.Equal(infos[0].Created) {
				h.Errorf("maker %d got a stream of %v, not of %v", n, infos[n].Created, infos[0].Created)
			}
		}
	}},
	{name: "what is not there is not found", run: func(h *harness) {
		_, err := h.c.Info(h.ctx, h.name)
		h.is("info", err, jsclient.ErrStreamNotFound)
		_, err = h.c.Update(h.ctx, h.name, func(*jsclient.StreamConfig) {})
		h.is("update", err, jsclient.ErrStreamNotFound)
		h.is("delete", h.c.Delete(h.ctx, h.name), jsclient.ErrStreamNotFound)
		_, err = h.c.Purge(h.ctx, h.name, jsclient.PurgeOptions{})
		h.is("purge", err, jsclient.ErrStreamNotFound)
		_, err = h.c.Get(h.ctx, h.name, 1)
		h.is("get", err, jsclient.ErrStreamNotFound)
		_, err = h.c.ConsumerInfo(h.ctx, h.name, "c")
		h.is("consumer", err, jsclient.ErrStreamNotFound)
		h.stream()
		_, err = h.c.ConsumerInfo(h.ctx, h.name, "c")
		h.is("consumer", err, jsclient.ErrConsumerNotFound)
		h.is("delete a consumer", h.c.DeleteConsumer(h.ctx, h.name, "c"), jsclient.ErrConsumerNotFound)
		if _, err = h.c.Info(h.ctx, "two words"); err == nil {
			h.Error("a name with a blank is asked for")
		}
	}},
	{name: "a purge takes what it says", run: func(h *harness) {
		h.stream()
		base := h.base()
		h.fill(10, 2) // on .0 and .1
		for _, c := range []struct {
			o    jsclient.PurgeOptions
			want uint64
		}{{jsclient.PurgeOptions{Seq: base + 3}, 2}, {jsclient.PurgeOptions{Filter: h.name + ".0", Keep: 2}, 2}, {jsclient.PurgeOptions{Filter: h.name + ".none"}, 0}, {jsclient.PurgeOptions{}, 6}} {
			if n, err := h.c.Purge(h.ctx, h.name, c.o); err != nil || n != c.want {
				h.Errorf("purge %+v took %d, %v; want %d", c.o, n, err, c.want)
			}
		}
		if i, err := h.c.Info(h.ctx, h.name); err != nil || i.State.Msgs != 0 || i.State.LastSeq != base+10 {
			h.Errorf("left: %+v, %v", i, err)
		}
	}},
	{name: "a call ends with its context and with the client", run: func(h *harness) {
		ctx, cancel := context.WithCancel(h.ctx)
		cancel()
		_, err := h.c.Info(ctx, h.name)
		h.is("cancelled", err, context.Canceled)
		ctx, cancel = context.WithDeadline(h.ctx, time.Now())
		defer cancel()
		_, err = h.c.Info(ctx, h.name)
		h.is("late", err, jsclient.ErrTimeout)
		c := h.client()
		cur, err := c.Cursor(h.name, jsclient.CursorOptions{})
		h.ok(err)
		c.Close()
		c.Close()
		_, err = c.Info(h.ctx, h.name)
		h.is("info", err, jsclient.ErrClosed)
		_, err = c.Publish(h.ctx, &jsclient.Outgoing{Subject: h.name + ".x"})
		h.is("publish", err, jsclient.ErrClosed)
		_, err = cur.Next(h.ctx)
		h.is("next", err, jsclient.ErrClosed)
		_, err = c.Cursor(h.name, jsclient.CursorOptions{})
		h.is("cursor", err, jsclient.ErrClosed)
	}},
}
