package main

import (
	"flag"
	"strings"
	"testing"

	"github.com/frondmq/frond/core/config"
)

// Every flag, the value it is given, and what it must do.
func TestFlags_eachDoesWhatItSays(t *testing.T) {
	type check func(f *flags, o *config.Options) bool
	all := map[string]struct {
		value string
		check check // nil: refused as not supported yet
	}{}
	add := func(names, value string, c check) {
		for _, n := range strings.Fields(names) {
			all[n] = struct {
				value string
				check check
			}{value, c}
		}
	}
	add("h help", "", func(f *flags, _ *config.Options) bool { return f.help })
	add("v version", "", func(f *flags, _ *config.Options) bool { return f.version })
	add("t", "", func(f *flags, _ *config.Options) bool { return f.check })
	add("json", "", func(f *flags, _ *config.Options) bool { return f.json })
	add("log_format", "json", func(_ *flags, o *config.Options) bool { return o.Log.JSON })
	add("c config", "", func(f *flags, _ *config.Options) bool { return true }) // read in other tests
	add("sl signal", "quit", func(f *flags, _ *config.Options) bool { return f.signal == "quit" })
	add("a addr net", "h", func(_ *flags, o *config.Options) bool { return o.Host == "h" })
	add("p port", "7", func(_ *flags, o *config.Options) bool { return o.Port == 7 })
	add("n name server_name", "x", func(_ *flags, o *config.Options) bool { return o.ServerName == "x" })
	add("P pid", "x", func(_ *flags, o *config.Options) bool { return o.PidFile == "x" })
	add("m http_port", "7", func(_ *flags, o *config.Options) bool { return o.HTTPPort == 7 })
	add("ms https_port", "7", func(_ *flags, o *config.Options) bool { return o.HTTPSPort == 7 })
	add("client_advertise", "x", func(_ *flags, o *config.Options) bool { return o.ClientAdvertise == "x" })
	add("ports_file_dir", "x", func(_ *flags, o *config.Options) bool { return o.PortsFileDir == "x" })
	add("l log", "x", func(_ *flags, o *config.Options) bool { return o.Log.File == "x" })
	add("T logtime", "false", func(_ *flags, o *config.Options) bool { return !o.Log.Time })
	add("logtime_utc", "", func(_ *flags, o *config.Options) bool { return o.Log.TimeUTC })
	add("D debug", "", func(_ *flags, o *config.Options) bool { return o.Log.Debug && !o.Log.Trace })
	add("V VV trace", "", func(_ *flags, o *config.Options) bool { return !o.Log.Debug && o.Log.Trace })
	add("DV DVV", "", func(_ *flags, o *config.Options) bool { return o.Log.Debug && o.Log.Trace })
	add("log_size_limit", "7", func(_ *flags, o *config.Options) bool { return o.Log.SizeLimit == 7 })
	add("max_traced_msg_len", "7", func(_ *flags, o *config.Options) bool { return o.MaxTracedMsgLen == 7 })
	add("js jetstream", "", func(_ *flags, o *config.Options) bool { return o.JetStream.Enabled })
	add("sd store_dir", "x", func(_ *flags, o *config.Options) bool { return o.JetStream.StoreDir == "x" })
	add("user", "x", func(_ *flags, o *config.Options) bool { return o.Auth.User == "x" })
	add("pass", "x", func(_ *flags, o *config.Options) bool { return o.Auth.Password == "x" })
	add("auth", "x", func(_ *flags, o *config.Options) bool { return o.Auth.Token == "x" })
	add("tls", "", func(_ *flags, o *config.Options) bool { return o.TLS != nil && !o.TLS.Verify })
	add("tlsverify", "", func(_ *flags, o *config.Options) bool { return o.TLS.Verify })
	add("tlscert", "x", func(_ *flags, o *config.Options) bool { return o.TLS.CertFile == "x" })
	add("tlskey", "x", func(_ *flags, o *config.Options) bool { return o.TLS.KeyFile == "x" })
	add("tlscacert", "x", func(_ *flags, o *config.Options) bool { return o.TLS.CAFile == "x" })
	add("s syslog no_advertise help_tls", "", nil)
	add("r remote_syslog routes cluster cluster_listen cluster_name cluster_advertise connect_retries profile", "7", nil)

	newFlags().set.VisitAll(func(f *flag.Flag) {
		if _, ok := all[f.Name]; !ok {
			t.Errorf("flag -%s is not in the table of this test", f.Name)
		}
	})
	for name, test := range all {
		t.Run(name, func(t *testing.T) {
			f := newFlags()
			arg := "-" + name
			if test.value != "" || name == "c" || name == "config" {
				arg += "=" + test.value
			}
			args := []string{arg}
			if strings.HasPrefix(name, "tls") {
				// The others of the block come first: it must be complete.
				args = []string{"-tlscert=c", "-tlskey=k", arg}
			}
			if err := f.parse(args); err != nil {
				t.Fatal(err)
			}
			o, _, err := f.options()
			switch {
			case test.check == nil:
				if err == nil || !strings.Contains(err.Error(), "flag --"+name+" is not supported yet") {
					t.Errorf("got %v", err)
				}
			case err != nil:
				t.Error(err)
			case !test.check(f, o):
				t.Errorf("options %+v", o)
			}
		})
	}
}

func TestFlags_portZeroIsTheDefault(t *testing.T) {
	f := newFlags()
	if err := f.parse([]string{"-p", "0"}); err != nil {
		t.Fatal(err)
	}
	if o, _, err := f.options(); err != nil || o.Port != config.DefaultPort {
		t.Errorf("port %d, %v", o.Port, err)
	}
}
