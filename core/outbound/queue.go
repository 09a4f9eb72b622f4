package outbound

// Queue is bytes that wait, in order. It takes hardly more memory than there are
// bytes, and to grow it copies nothing. Whoever has it guards it.
type Queue struct {
	kind   *Kind
	chunks [][]byte // the last may have room
	at     int      // so much of the first was read
	size   int      // bytes to be read
}

// NewQueue makes an empty one.
func NewQueue(k *Kind) Queue { return Queue{kind: k} }

// Size is how many bytes wait.
func (q *Queue) Size() int { return q.size }

// room is the last chunk, with room for n bytes in one piece. The caller appends
// and gives it to commit.
func (q *Queue) room(n int) []byte {
	if last := len(q.chunks) - 1; last >= 0 {
		c := q.chunks[last]
		if cap(c)-len(c) >= n && (q.kind.Cut == 0 || len(c) < q.kind.Cut) {
			return c
		}
	}
	c := q.kind.Pool.get(n, q.size, q.kind.chunk())
	q.chunks = append(q.chunks, c)
	return c
}

func (q *Queue) commit(chunk []byte) {
	last := len(q.chunks) - 1
	q.size += len(chunk) - len(q.chunks[last])
	q.chunks[last] = chunk
}

// Write appends p, over as many chunks as it takes.
func (q *Queue) Write(p []byte) {
	for len(p) > 0 {
		last := len(q.chunks) - 1
		if last < 0 || len(q.chunks[last]) == cap(q.chunks[last]) {
			most := q.kind.chunk()
			q.chunks = append(q.chunks, q.kind.Pool.get(min(len(p), most), q.size, most))
			last++
		}
		c := q.chunks[last]
		n := min(len(p), cap(c)-len(c))
		q.chunks[last] = append(c, p[:n]...)
		q.size += n
		p = p[n:]
	}
}

// head is the next bytes, at most n of them: what lies in one chunk. Valid until
// skip.
func (q *Queue) head(n int) []byte {
	first := q.chunks[0][q.at:]
	return first[:min(n, len(first))]
}

// skip takes n bytes away that head has shown.
func (q *Queue) skip(n int) {
	q.at += n
	q.size -= n
	if q.at == len(q.chunks[0]) {
		q.kind.Pool.put(q.chunks[0])
		q.chunks[0] = nil
		q.chunks, q.at = q.chunks[1:], 0
	}
	if q.size == 0 {
		q.Drop()
	}
}

// Read takes len(b) bytes away, into b. There must be as many.
func (q *Queue) Read(b []byte) {
	for len(b) > 0 {
		n := copy(b, q.head(len(b)))
		b = b[n:]
		q.skip(n)
	}
}

// Move takes n bytes away, to the end of another. There must be as many.
func (q *Queue) Move(to *Queue, n int) {
	for n > 0 {
		b := q.head(n)
		n -= len(b)
		to.Write(b)
		q.skip(len(b))
	}
}

// take moves whole chunks to the end of dst: at most so many bytes, but at least
// one chunk. The queue must not have been read from.
func (q *Queue) take(dst [][]byte, most int) (_ [][]byte, n int) {
	k := 0
	for k < len(q.chunks) && (k == 0 || n+len(q.chunks[k]) <= most) {
		n += len(q.chunks[k])
		k++
	}
	dst = append(dst, q.chunks[:k]...)
	rest := copy(q.chunks, q.chunks[k:])
	clear(q.chunks[rest:])
	q.chunks, q.size = q.chunks[:rest], q.size-n
	if rest == 0 && cap(q.chunks) > keepChunks {
		q.chunks = nil
	}
	return dst, n
}

// keepChunks is the longest list of chunks that is kept while it is empty.
const keepChunks = 64

// putBack makes chunk the first again.
func (q *Queue) putBack(chunk []byte) {
	q.chunks = append(q.chunks, nil)
	copy(q.chunks[1:], q.chunks)
	q.chunks[0] = chunk
	q.size += len(chunk)
}

// Drop gives everything up.
func (q *Queue) Drop() {
	for i, c := range q.chunks {
		q.kind.Pool.put(c)
		q.chunks[i] = nil
	}
	*q = Queue{kind: q.kind}
}
