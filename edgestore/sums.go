package edgestore

// recordSums are the checksums of records by their keys. Of few, as most streams
// of a device have, one string holds all: a map of them costs five times as much.
type recordSums struct {
	few  string // for each: a byte for the length of its key, key, checksum
	many map[string]uint32
}

// fewSums is how many may be found by looking at all.
const fewSums = 16

func (t *recordSums) len() (n int) {
	if t.many != nil {
		return len(t.many)
	}
	for at := 0; at < len(t.few); at += sumBytes(t.few, at) {
		n++
	}
	return n
}

func sumBytes(few string, at int) int { return 1 + int(few[at]) + 4 }

// sumAt is the key and the checksum at a place in few.
func sumAt(few string, at int) (key string, crc uint32) {
	end := at + sumBytes(few, at)
	c := few[end-4 : end]
	return few[at+1 : end-4], uint32(c[0]) | uint32(c[1])<<8 | uint32(c[2])<<16 | uint32(c[3])<<24
}

func (t *recordSums) get(key string) (crc uint32, ok bool) {
	if t.many != nil {
		crc, ok = t.many[key]
		return crc, ok
	}
	for at := 0; at < len(t.few); at += sumBytes(t.few, at) {
		if k, c := sumAt(t.few, at); k == key {
			return c, true
		}
	}
	return 0, false
}

// each visits all; f may not change them.
func (t *recordSums) each(f func(key string, crc uint32)) {
	for k, c := range t.many {
		f(k, c)
	}
	for at := 0; at < len(t.few); at += sumBytes(t.few, at) {
		f(sumAt(t.few, at))
	}
}

func (t *recordSums) set(key string, crc uint32) {
	t.remove(key)
	if t.many == nil && len(key) < 256 && t.len() < fewSums {
		b := [5]byte{byte(len(key)), byte(crc), byte(crc >> 8), byte(crc >> 16), byte(crc >> 24)}
		t.few = t.few + string(b[:1]) + key + string(b[1:])
		return
	}
	if t.many == nil {
		t.many = make(map[string]uint32, fewSums)
		for at := 0; at < len(t.few); at += sumBytes(t.few, at) {
			k, c := sumAt(t.few, at)
			t.many[k] = c
		}
		t.few = ""
	}
	t.many[key] = crc
}

func (t *recordSums) remove(key string) {
	if t.many != nil {
		delete(t.many, key)
		return
	}
	for at := 0; at < len(t.few); at += sumBytes(t.few, at) {
		if k, _ := sumAt(t.few, at); k == key {
			t.few = t.few[:at] + t.few[at+sumBytes(t.few, at):]
			return
		}
	}
}
