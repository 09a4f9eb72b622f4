package leaf

import (
	"bufio"
	"fmt"
	"io"
	"time"

	"github.com/klauspost/compress/s2"

	"github.com/frondmq/frond/core/config"
	"github.com/frondmq/frond/core/wire"
)

// compressUncompressed frames without compressing: what auto chooses for a
// near peer.
const compressUncompressed = "s2_uncompressed"

// blockBytes bounds one compressed block, so that a slow link can use the
// first records before a large block has crossed.
const blockBytes = 16 << 10

// negotiate is the write mode from our own mode and the one the peer named
// ("" for none): the table of the protocol.
func negotiate(own, peer string) (string, error) {
	if own == config.CompressNotSupported || peer == "" || peer == config.CompressNotSupported {
		return config.CompressNotSupported, nil
	}
	switch peer {
	case config.CompressOff:
		return config.CompressOff, nil
	case config.CompressAccept:
		if own == config.CompressAccept {
			return config.CompressOff, nil
		}
		return own, nil
	case config.CompressAuto, config.CompressFast, config.CompressBetter, config.CompressBest, compressUncompressed:
	default:
		return "", &wire.Error{
			Text:   fmt.Sprintf("unsupported route compression mode \"%s\"", wire.CleanHeaderText(peer)),
			Reason: wire.ReasonProtocolViolation,
		}
	}
	if own != config.CompressAccept {
		return own, nil
	}
	if peer == config.CompressAuto {
		return config.CompressFast, nil
	}
	return peer, nil
}

// compresses reports whether a negotiated mode means S2 framing.
func compresses(mode string) bool {
	return mode != config.CompressOff && mode != config.CompressNotSupported
}

// levelFor is the effective level of a mode at a round trip time.
func levelFor(c config.Compression, mode string, rtt time.Duration) string {
	if mode != config.CompressAuto {
		return mode
	}
	levels := [...]string{compressUncompressed, config.CompressFast, config.CompressBetter, config.CompressBest}
	for i, limit := range c.Thresholds {
		if i < len(levels) && limit > 0 && rtt <= limit {
			return levels[i]
		}
	}
	return levels[min(len(c.Thresholds), len(levels)-1)]
}

// compressor writes each batch as a stream of its own, as stock servers do, so
// that the level can change between two batches.
type compressor struct {
	out   io.Writer
	level string
	w     *s2.Writer
}

func newCompressor(out io.Writer, level string) *compressor {
	c := &compressor{out: out}
	c.setLevel(level)
	return c
}

func (c *compressor) setLevel(level string) {
	if level == c.level {
		return
	}
	c.level = level
	opts := []s2.WriterOption{s2.WriterConcurrency(1), s2.WriterBlockSize(blockBytes)}
	switch level {
	case compressUncompressed:
		opts = append(opts, s2.WriterUncompressed())
	case config.CompressBetter:
		opts = append(opts, s2.WriterBetterCompression())
	case config.CompressBest:
		opts = append(opts, s2.WriterBestCompression())
	}
	c.w = s2.NewWriter(nil, opts...)
}

// write compresses one batch.
func (c *compressor) write(batch ...[]byte) error {
	c.w.Reset(c.out)
	for _, b := range batch {
		if _, err := c.w.Write(b); err != nil {
			return err
		}
	}
	return c.w.Close()
}

// decompress reads what the peer compressed, beginning with what in has
// buffered.
func decompress(in *bufio.Reader) io.Reader {
	return s2.NewReader(in, s2.ReaderMaxBlockSize(4<<20), s2.ReaderAllocBlock(64<<10))
}
