package asset

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

// ownTexts are configurations of which one member each is not as in most.
func ownTexts(t testing.TB) (texts map[string][]byte) {
	texts = make(map[string][]byte)
	most := StreamConfig{Name: "S", Subjects: []string{"s.>"}}
	if err := most.Check(0, false); err != nil {
		t.Fatal(err)
	}
	texts[""] = Encode(&most)
	for i := range reflect.TypeFor[StreamConfig]().NumField() {
		c := most.Clone()
		name, _, _ := strings.Cut(reflect.TypeFor[StreamConfig]().Field(i).Tag.Get("json"), ",")
		switch f := reflect.ValueOf(c).Elem().Field(i); f.Interface().(type) {
		case string:
			f.SetString("a text & <more>")
		case []string:
			f.Set(reflect.ValueOf([]string{"a.*", "b.>", "c"}))
		case map[string]string:
			f.Set(reflect.ValueOf(map[string]string{"_nats.req.level": "1", "a": "b>", "": ""}))
		case bool:
			f.SetBool(true)
		case int, int32, int64, time.Duration:
			f.SetInt(-1 << 31)
		case uint64:
			f.SetUint(1<<63 - 1)
		case Retention, Discard, Storage, Compression, PersistMode:
			f.SetUint(1)
		case ConsumerLimits:
			f.Set(reflect.ValueOf(ConsumerLimits{InactiveThreshold: time.Hour, MaxAckPending: 7}))
		case *Placement:
			c.Placement = new(Placement)
		case *StreamSource:
			c.Mirror = &StreamSource{Name: "M"}
		case []*StreamSource:
			c.Sources = []*StreamSource{{Name: "M"}}
		case *SubjectTransform:
			c.SubjectTransform = &SubjectTransform{"a", "b"}
		case *Republish:
			c.Republish = &Republish{Destination: "b"}
		default:
			t.Fatalf("%s is of type %v", name, f.Type())
		}
		texts[name] = Encode(c)
	}
	return texts
}

// sameAsJSON looks whether a text that is read without encoding/json says to it
// what it says here.
func sameAsJSON(t testing.TB, text []byte) (own bool) {
	t.Helper()
	got, own := readOwn(text, new(Reader))
	if !own {
		return false
	}
	want, err := Decode(text)
	if err != nil {
		t.Fatalf("%s\nwas read, but: %v", text, err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%s\nwas read as %+v\nand is %+v", text, got, want)
	}
	return true
}

// TestReadOwn_members: of a stream as most are, each member is read without
// encoding/json, but for those that have values in them.
func TestReadOwn_members(t *testing.T) {
	others := map[string]bool{"placement": true, "mirror": true, "sources": true, "subject_transform": true, "republish": true}
	for name, text := range ownTexts(t) {
		if own := sameAsJSON(t, text); own == others[name] {
			t.Errorf("%q: is it read without encoding/json: %v\n%s", name, own, text)
		}
	}
}

// TestReadOwn_changed: wherever a text is cut or changed, it is not read, or
// says what encoding/json says.
func TestReadOwn_changed(t *testing.T) {
	read, others := 0, 0
	look := func(text []byte) {
		if sameAsJSON(t, text) {
			read++
		} else {
			others++
		}
	}
	texts := ownTexts(t)
	for _, name := range []string{"", "subjects", "metadata", "consumer_limits"} {
		text := texts[name]
		for i := range text {
			look(text[:i])
			look(append(append([]byte(nil), text[:i]...), text[i+1:]...))
			for _, c := range []byte("\"\\,:{}[]0-1en \x00\xc3") {
				changed := append([]byte(nil), text...)
				changed[i] = c
				look(changed)
				look(append(append(append([]byte(nil), text[:i]...), c), text[i:]...))
			}
		}
	}
	if read < 3_000 || others < 30_000 {
		t.Errorf("%d texts were read and %d were not", read, others)
	}
}

// TestReadOwn_strange: texts that Encode does not make.
func TestReadOwn_strange(t *testing.T) {
	for text, own := range map[string]bool{
		`{}`: true,
		`{"name":"S","name":"T","subjects":["a","b"],"subjects":["c"]}`: true,
		`{"subjects":[]}`: true,
		`{"consumer_limits":{"max_ack_pending":1},"consumer_limits":{}}`: true,
		`{"metadata":{}}`: true,
		`{"metadata":{"_nats.req.level":"0","_nats.req.level":"1"}}`: true,
		`{"metadata":{"a":"b"},"metadata":{"c":"d"}}`:                false,
		`{"Name":"S"}`:                     false,
		`{"name":null}`:                    false,
		`{"name":"\u00e9"}`:                false,
		`{"name":"é"}`:                     false,
		"{\"name\":\"\xff\"}":              false,
		`{"name":"a\"b"}`:                  false,
		`{"name":"S" }`:                    false,
		`{"name":"S"}x`:                    false,
		`{"name":"S",}`:                    false,
		`{,"name":"S"}`:                    false,
		`{"max_msgs":01}`:                  false,
		`{"max_msgs":-01}`:                 false,
		`{"max_msgs":1e3}`:                 false,
		`{"max_msgs":9223372036854775808}`: false,
		`{"max_msg_size":2147483648}`:      false,
		`{"first_seq":-1}`:                 false,
		`{"max_msgs":-0}`:                  true,
		`{"max_age":-9223372036854775808}`: true,
		`{"retention":"none"}`:             false,
		`{"name":"S","unknown":1}`:         false,
		`["name"]`:                         false,
		``:                                 false,
		`{"name"`:                          false,
		`{"subjects":["a",]}`:              false,
		`{"consumer_limits":{"x":1}}`:      false,
	} {
		if got := sameAsJSON(t, []byte(text)); got != own {
			t.Errorf("%s: is it read without encoding/json: %v", text, got)
		}
	}
}

func FuzzReadOwn(f *testing.F) {
	for _, text := range ownTexts(f) {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) { sameAsJSON(t, text) })
}

// TestReader: what a Reader gives is what Decode gives, whoever reads the text.
// Metadata of nothing but the level is shared, and of a few levels only.
func TestReader(t *testing.T) {
	var r Reader
	for name, text := range ownTexts(t) {
		want, err := Decode(text)
		if err != nil {
			t.Fatal(err)
		}
		for _, spaces := range []string{"", " "} { // with one it is for encoding/json
			got, err := r.Decode([]byte(spaces + string(text)))
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%q, %q in front: %+v, %v\nwant %+v", name, spaces, got, err, want)
			}
		}
	}
	metadata := func(level int, front string) map[string]string {
		c, err := r.Decode(fmt.Appendf(nil, `%s{"name":"S","metadata":{"_nats.req.level":"%d"}}`, front, level))
		if err != nil || c.Metadata["_nats.req.level"] != fmt.Sprint(level) {
			t.Fatalf("level %d: %+v, %v", level, c, err)
		}
		return c.Metadata
	}
	same := func(a, b map[string]string) bool { return reflect.ValueOf(a).Pointer() == reflect.ValueOf(b).Pointer() }
	if !same(metadata(1, ""), metadata(1, " ")) {
		t.Error("two of one level have two maps")
	}
	for i := range 3 * maxLevels {
		metadata(100+i, "")
	}
	if n := len(r.share); n != maxLevels {
		t.Errorf("%d levels are kept", n)
	}
}
