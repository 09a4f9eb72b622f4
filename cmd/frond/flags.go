package main

import (
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/frondmq/frond/core/config"
)

// flags are the command line as nats-server has it. Flags win over the file,
// so what they say is kept and applied once the file was read.
type flags struct {
	help, version, check, json bool
	config, signal             string
	words                      []string // behind the flags

	given []func(o *config.Options) error
	set   *flag.FlagSet
}

// value is one flag: set checks the text when it is parsed.
type value struct {
	isBool bool
	set    func(text string) error
}

func (v *value) String() string     { return "" }
func (v *value) Set(s string) error { return v.set(s) }
func (v *value) IsBoolFlag() bool   { return v.isBool }

func newFlags() *flags {
	f := &flags{set: flag.NewFlagSet("frond", flag.ContinueOnError)}
	f.set.SetOutput(io.Discard)
	f.set.Usage = func() {}
	now := func(b *bool) func(bool) { return func(v bool) { *b = v } }
	f.boolNow(now(&f.help), "h", "help")
	f.boolNow(now(&f.version), "v", "version")
	f.boolNow(now(&f.check), "t")
	f.boolNow(now(&f.json), "json")
	f.textNow(&f.config, "c", "config")
	f.textNow(&f.signal, "sl", "signal")

	f.text(func(o *config.Options, s string) { o.Host = s }, "a", "addr", "net")
	f.number(func(o *config.Options, n int) {
		if n == 0 {
			n = config.DefaultPort // as in a file
		}
		o.Port = n
	}, "p", "port")
	f.text(func(o *config.Options, s string) { o.ServerName = s }, "n", "name", "server_name")
	f.text(func(o *config.Options, s string) { o.PidFile = s }, "P", "pid")
	f.number(func(o *config.Options, n int) { o.HTTPPort = n }, "m", "http_port")
	f.number(func(o *config.Options, n int) { o.HTTPSPort = n }, "ms", "https_port")
	f.text(func(o *config.Options, s string) { o.ClientAdvertise = s }, "client_advertise")
	f.text(func(o *config.Options, s string) { o.PortsFileDir = s }, "ports_file_dir")
	f.logging()
	f.bool(func(o *config.Options, b bool) { o.JetStream.Enabled = b }, "js", "jetstream")
	f.text(func(o *config.Options, s string) { o.JetStream.StoreDir = s }, "sd", "store_dir")
	f.text(func(o *config.Options, s string) { o.Auth.User = s }, "user")
	f.text(func(o *config.Options, s string) { o.Auth.Password = s }, "pass")
	f.text(func(o *config.Options, s string) { o.Auth.Token = s }, "auth")
	f.tls()
	for _, name := range []string{"s", "syslog", "no_advertise", "help_tls"} {
		f.unsupported(name, true)
	}
	for _, name := range []string{
		"r", "remote_syslog", "routes", "cluster", "cluster_listen", "cluster_name", "cluster_advertise", "connect_retries", "profile",
	} {
		f.unsupported(name, false)
	}
	return f
}

func (f *flags) logging() {
	f.text(func(o *config.Options, s string) { o.Log.File = s }, "l", "log")
	f.bool(func(o *config.Options, b bool) { o.Log.Time = b }, "T", "logtime")
	f.bool(func(o *config.Options, b bool) { o.Log.TimeUTC = b }, "logtime_utc")
	f.bool(func(o *config.Options, b bool) { o.Log.Debug = b }, "D", "debug")
	f.bool(func(o *config.Options, b bool) { o.Log.Trace = b }, "V", "trace")
	f.bool(func(o *config.Options, b bool) { o.Log.Trace = b }, "VV")
	f.bool(func(o *config.Options, b bool) { o.Log.Debug, o.Log.Trace = b, b }, "DV")
	f.bool(func(o *config.Options, b bool) { o.Log.Debug, o.Log.Trace = b, b }, "DVV")
	f.add(&value{set: func(s string) error {
		if s != "text" && s != "json" {
			return errors.New("text or json")
		}
		f.later(func(o *config.Options) { o.Log.JSON = s == "json" })
		return nil
	}}, []string{"log_format"})
	f.number(func(o *config.Options, n int) { o.Log.SizeLimit = int64(n) }, "log_size_limit")
	f.number(func(o *config.Options, n int) { o.MaxTracedMsgLen = n }, "max_traced_msg_len")
}

// newTLS is a tls block without anything in it.
func newTLS() *config.TLS { return &config.TLS{Timeout: tlsTimeout, MinVersion: tls.VersionTLS12} }

const tlsTimeout = 2 * time.Second

// tls flags build one block: any of them needs certificate and key.
func (f *flags) tls() {
	block := func(o *config.Options) *config.TLS {
		if o.TLS == nil {
			o.TLS = newTLS()
		}
		return o.TLS
	}
	f.bool(func(o *config.Options, b bool) {
		if !b {
			o.TLS = nil
		} else {
			block(o)
		}
	}, "tls")
	f.bool(func(o *config.Options, b bool) { block(o).Verify = b }, "tlsverify")
	f.text(func(o *config.Options, s string) { block(o).CertFile = s }, "tlscert")
	f.text(func(o *config.Options, s string) { block(o).KeyFile = s }, "tlskey")
	f.text(func(o *config.Options, s string) { block(o).CAFile = s }, "tlscacert")
}

func (f *flags) parse(args []string) error {
	if err := f.set.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			f.help = true
			return nil
		}
		return err
	}
	f.words = f.set.Args()
	return nil
}

// options reads the file, if there is one, and applies the flags.
func (f *flags) options() (*config.Options, []config.Warning, error) {
	o := config.Defaults()
	var warns []config.Warning
	if f.config != "" {
		var err error
		if o, warns, err = config.ParseFile(f.config); err != nil {
			return nil, warns, err
		}
	}
	for _, apply := range f.given {
		if err := apply(o); err != nil {
			return nil, warns, err
		}
	}
	if t := o.TLS; t != nil && len(t.Certs) == 0 {
		switch {
		case t.CertFile == "":
			return nil, warns, errors.New("TLS Server certificate must be present and valid")
		case t.KeyFile == "":
			return nil, warns, errors.New("TLS Server private key must be present and valid")
		}
	}
	return o, warns, nil
}

func (f *flags) later(apply func(o *config.Options)) {
	f.given = append(f.given, func(o *config.Options) error {
		apply(o)
		return nil
	})
}

func (f *flags) add(v *value, names []string) {
	for _, n := range names {
		f.set.Var(v, n, "")
	}
}

func (f *flags) text(apply func(*config.Options, string), names ...string) {
	f.add(&value{set: func(s string) error {
		f.later(func(o *config.Options) { apply(o, s) })
		return nil
	}}, names)
}

func (f *flags) textNow(to *string, names ...string) {
	f.add(&value{set: func(s string) error {
		*to = s
		return nil
	}}, names)
}

func (f *flags) number(apply func(*config.Options, int), names ...string) {
	f.add(&value{set: func(s string) error {
		n, err := strconv.ParseInt(s, 0, 0)
		if err != nil {
			return errors.New("parse error")
		}
		f.later(func(o *config.Options) { apply(o, int(n)) })
		return nil
	}}, names)
}

func (f *flags) boolNow(apply func(bool), names ...string) {
	f.add(&value{isBool: true, set: func(s string) error {
		b, err := strconv.ParseBool(s)
		if err != nil {
			return errors.New("parse error")
		}
		apply(b)
		return nil
	}}, names)
}

func (f *flags) bool(apply func(*config.Options, bool), names ...string) {
	f.boolNow(func(b bool) { f.later(func(o *config.Options) { apply(o, b) }) }, names...)
}

// unsupported flags of nats-server end the start, and say so.
func (f *flags) unsupported(name string, isBool bool) {
	f.add(&value{isBool: isBool, set: func(string) error {
		f.given = append(f.given, func(*config.Options) error {
			return fmt.Errorf("flag --%s is not supported yet", name)
		})
		return nil
	}}, []string{name})
}
