package core

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/frondmq/frond/core/monitor"
)

// TestClosedRing_everyField: a description comes back as it went in, whatever field it
// has; one that somebody adds, too.
func TestClosedRing_everyField(t *testing.T) {
	whole := new(monitor.ConnInfo)
	n := fill(reflect.ValueOf(whole).Elem(), 1)
	if n < 45 {
		t.Errorf("%d values", n)
	}
	whole.Subs, whole.SubsDetail = nil, nil
	for _, want := range []*monitor.ConnInfo{whole, {}, {Cid: 1<<64 - 1, Port: -1, MQTTDrops: new(monitor.MQTTDrops)}} {
		r := closedRing{limit: 3}
		r.add(&monitor.ConnInfo{Cid: 7})
		r.add(want)
		r.add(&monitor.ConnInfo{Cid: 8})
		if got := r.list().all()[1]; !reflect.DeepEqual(got, want) {
			t.Errorf("%+v\nwant\n%+v", got, want)
		}
	}
}

// fill gives each value below v another one that is not zero.
func fill(v reflect.Value, n int) int {
	switch v.Interface().(type) {
	case time.Time:
		v.Set(reflect.ValueOf(time.Unix(1_800_000_000, int64(n))))
		return n + 1
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			n = fill(v.Field(i), n)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		n = fill(v.Elem(), n)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		n = fill(v.Index(1), fill(v.Index(0), n))
	case reflect.String:
		v.SetString(fmt.Sprint("text", n))
		n++
	case reflect.Bool:
		v.SetBool(true)
		n++
	case reflect.Uint32, reflect.Uint64:
		v.SetUint(uint64(n))
		n++
	default:
		v.SetInt(int64(n))
		n++
	}
	return n
}

func TestClosedRing_newest(t *testing.T) {
	for _, limit := range []int{0, 1, 2, 1000, 1 << 30} {
		r := closedRing{limit: limit}
		for n := 1; n <= 3000; n++ {
			r.add(&monitor.ConnInfo{Cid: uint64(n), MQTTClient: "plant/line7"})
			if n%97 > 1 && n < 2990 {
				continue
			}
			all := r.list().all()
			if len(all) != min(n, limit) {
				t.Fatalf("%d of %d with limit %d", len(all), n, limit)
			}
			for i := range all {
				if want := uint64(n - len(all) + i + 1); all[i].Cid != want {
					t.Fatalf("%d with limit %d: at %d is %d, want %d", n, limit, i, all[i].Cid, want)
				}
			}
		}
	}
}

// TestClosedRing_small bounds what a connection that is gone takes.
func TestClosedRing_small(t *testing.T) {
	r := closedRing{limit: 1000}
	now := time.Now()
	for n := range 5000 {
		r.add(&monitor.ConnInfo{
			Cid: uint64(n), Kind: monitor.KindClient, Type: monitor.TypeMQTT, IP: "192.168.17.101", Port: 51234, Start: now, LastActivity: now, Stop: &now,
			Reason: "Client Closed", Uptime: "1m2s", Idle: "0s", InMsgs: 100, OutMsgs: 100, InBytes: 20_000, OutBytes: 20_000, NumSubs: 1,
			AuthorizedUser: "device", AccountName: "$G", Account: "$G", MQTTClient: "plant/line17",
		})
	}
	size := 0
	for _, k := range r.chunks {
		size += cap(k.b)
	}
	if each := size / 1000; each > 160 {
		t.Errorf("%d bytes each", each)
	} else {
		t.Logf("%d bytes each", each)
	}
}
