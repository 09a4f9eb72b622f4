package jsclient

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/frondmq/frond/core/jetstream/consumer"
	"github.com/frondmq/frond/core/wire"
)

// ConsumerConfig is the configuration of a consumer. Times are durations, sizes
// bytes.
type ConsumerConfig = consumer.Config

// ConsumerInfo is a consumer as it was when it was asked.
type ConsumerInfo struct {
	Name           string         `json:"name"`
	Created        time.Time      `json:"created"`
	Config         ConsumerConfig `json:"config"` // with what the server filled in
	Delivered      SeqPair        `json:"delivered"`
	AckFloor       SeqPair        `json:"ack_floor"` // all up to here is settled
	NumAckPending  int            `json:"num_ack_pending"`
	NumRedelivered int            `json:"num_redelivered"`
	NumWaiting     int            `json:"num_waiting"` // pull requests
	NumPending     uint64         `json:"num_pending"` // messages not delivered yet
}

// SeqPair is a position: in the order of deliveries, and in the stream.
type SeqPair = consumer.SeqPair

// EnsureConsumer makes a consumer, or gives the one of that name the configuration.
// The name is Name or Durable. Errors: ErrStreamNotFound, and those of what may not
// be changed.
func (c *Client) EnsureConsumer(ctx context.Context, stream string, cfg *ConsumerConfig) (*ConsumerInfo, error) {
	name := cfg.Durable
	if name == "" {
		name = cfg.Name
	}
	if err := checkName("stream", stream); err != nil {
		return nil, err
	}
	if err := checkName("consumer", name); err != nil {
		return nil, err
	}
	in := struct {
		Stream string          `json:"stream_name"`
		Config *ConsumerConfig `json:"config"`
	}{stream, cfg}
	out := new(ConsumerInfo)
	return out, c.request(ctx, "CONSUMER.CREATE."+stream+"."+name, &in, out)
}

// ConsumerInfo asks about a consumer. Errors: ErrStreamNotFound,
// ErrConsumerNotFound.
func (c *Client) ConsumerInfo(ctx context.Context, stream, name string) (*ConsumerInfo, error) {
	out := new(ConsumerInfo)
	return out, c.consumer(ctx, "INFO", stream, name, out)
}

// DeleteConsumer deletes a consumer. Errors: ErrStreamNotFound,
// ErrConsumerNotFound.
func (c *Client) DeleteConsumer(ctx context.Context, stream, name string) error {
	return c.consumer(ctx, "DELETE", stream, name, &struct{}{})
}

func (c *Client) consumer(ctx context.Context, verb, stream, name string, out any) error {
	if err := checkName("stream", stream); err != nil {
		return err
	}
	if err := checkName("consumer", name); err != nil {
		return err
	}
	return c.request(ctx, "CONSUMER."+verb+"."+stream+"."+name, nil, out)
}

// nextSubject is where a consumer is asked for messages.
func (c *Client) nextSubject(stream, name string) string {
	return c.api + "CONSUMER.MSG.NEXT." + stream + "." + name
}

// ConsumeOptions are those of a Consumer.
type ConsumeOptions struct {
	// Max is how many messages wait here or are handed out and not settled; 0 is
	// 256. At that number nothing is fetched.
	Max int
	// MaxBytes bounds how large the messages of one request are together; 0 is
	// 1 MB. Two requests may be on their way; a larger message comes alone.
	MaxBytes int
	// Heartbeat is how often the other side says that it is there; 0 is
	// DefaultHeartbeat.
	Heartbeat time.Duration
}

// Consumer fetches from a durable consumer of a stream. Each message is delivered
// until it is settled: at least once, and again when an acknowledgement was lost. It
// goes on by itself when the link was lost or the server restarted.
type Consumer struct {
	p      puller
	stream string
	cfg    *ConsumerConfig
}

// Consumer begins to fetch. The consumer is made, or made what cfg says, by the first
// Next; cfg has a durable name and no deliver subject. Errors: ErrClosed, and what is
// wrong with cfg.
func (c *Client) Consumer(stream string, cfg *ConsumerConfig, o ConsumeOptions) (*Consumer, error) {
	if err := checkName("stream", stream); err != nil {
		return nil, err
	}
	if err := checkName("consumer", cfg.Durable); err != nil {
		return nil, err
	}
	if !cfg.Pull() {
		return nil, errors.New("the consumer has a deliver subject")
	}
	k := &Consumer{stream: stream, cfg: cfg.Clone()}
	k.p.keep = true
	if err := k.p.open(c, o.Max, o.MaxBytes, o.Heartbeat); err != nil {
		return nil, err
	}
	return k, nil
}

// Next gives the next message, waiting for it until ctx ends. Several goroutines may
// call it. After an error it may be called again. Errors: those of ctx; ErrClosed;
// ErrStreamNotFound, and other answers of JetStream's that waiting does not mend.
func (k *Consumer) Next(ctx context.Context) (*Delivery, error) {
	if err := k.p.lock(ctx); err != nil {
		return nil, err
	}
	defer k.p.unlock()
	f, err := k.p.next(ctx, k.setUp, func(*fetched) bool { return true })
	if err != nil {
		return nil, err
	}
	d := &Delivery{Message: f.Message, Delivered: f.delivered, Pending: f.pending, k: k, reply: f.reply}
	if k.cfg.AckPolicy == consumer.AckNone {
		d.settle()
	}
	return d, nil
}

func (k *Consumer) setUp(ctx context.Context) error {
	i, err := k.p.c.EnsureConsumer(ctx, k.stream, k.cfg)
	if err == nil {
		k.p.begin(k.p.c.nextSubject(k.stream, k.cfg.Durable), i.Config.MaxRequestBatch)
	}
	return err
}

// Close ends fetching; Next gives ErrClosed. The consumer stays, and what was not
// settled is delivered again. Deliveries that were handed out can still be settled.
func (k *Consumer) Close() { k.p.close() }

// Delivery is one message that a Consumer was given. It is settled once, by Ack,
// AckSync, Nak or Term, else it is delivered again after the consumer's ack_wait.
type Delivery struct {
	Message
	Delivered uint64 // how often, with this time
	Pending   uint64 // messages of the consumer behind it

	k     *Consumer
	reply []byte

	mu      sync.Mutex
	settled bool
}

func (d *Delivery) settle() bool {
	d.mu.Lock()
	first := !d.settled
	d.settled = true
	d.mu.Unlock()
	if first {
		d.k.p.done()
	}
	return first
}

func (d *Delivery) send(body string) error {
	_, err := d.k.p.c.pub.publish(&wire.Msg{Subject: d.reply, Body: []byte(body)})
	return err
}

// end settles with a word. Nobody says whether it arrived.
func (d *Delivery) end(word string) error {
	if !d.settle() {
		return ErrSettled
	}
	return d.send(word)
}

// Ack says that the message is done with; if that is lost on the way, it is
// delivered again. Errors: ErrSettled, ErrClosed of the client.
func (d *Delivery) Ack() error { return d.end("+ACK") }

// AckSync is Ack, and waits until the consumer has it. After an error of which
// nobody knows what became it may be called again. Errors: ErrSettled,
// ErrNoResponders, ErrTimeout, ErrLost, ErrClosed, those of ctx.
func (d *Delivery) AckSync(ctx context.Context) error {
	d.mu.Lock()
	settled := d.settled
	d.mu.Unlock()
	if settled {
		return ErrSettled
	}
	ctx, cancel := limited(ctx)
	defer cancel()
	if _, err := d.k.p.c.ask(ctx, string(d.reply), []byte("+ACK"), false); err != nil {
		return err
	}
	d.settle()
	return nil
}

// Nak asks for the message to be delivered again, after a delay. Errors: as of Ack.
func (d *Delivery) Nak(delay time.Duration) error {
	if delay <= 0 {
		return d.end("-NAK")
	}
	return d.end(`-NAK {"delay":` + strconv.FormatInt(int64(delay), 10) + "}")
}

// Term ends the message: it is never delivered again. reason, which may be "", is
// told in the advisory. Errors: as of Ack.
func (d *Delivery) Term(reason string) error {
	if reason != "" {
		reason = " " + reason
	}
	return d.end("+TERM" + reason)
}

// InProgress asks for the consumer's ack_wait to begin anew. Errors: as of Ack.
func (d *Delivery) InProgress() error {
	d.mu.Lock()
	settled := d.settled
	d.mu.Unlock()
	if settled {
		return ErrSettled
	}
	return d.send("+WPI")
}

// ConsumerNames lists the consumers of a stream, up to 1,024 of them. Errors:
// ErrStreamNotFound.
func (c *Client) ConsumerNames(ctx context.Context, stream string) ([]string, error) {
	if err := checkName("stream", stream); err != nil {
		return nil, err
	}
	var out struct {
		Consumers []string `json:"consumers"`
	}
	err := c.request(ctx, "CONSUMER.NAMES."+stream, nil, &out)
	return out.Consumers, err
}
