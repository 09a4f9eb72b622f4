//go:build !lite

package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestImport(t *testing.T) {
	for _, c := range []struct {
		args []string
		code int
		want string // among what is told
	}{
		{[]string{"-h"}, 0, ""},
		{[]string{"mosquitto", "mosquitto/testdata/gateway/mosquitto.conf", "--passwd", "mosquitto/testdata/gateway/passwd", "--acl=mosquitto/testdata/gateway/acl", "--db", "mosquitto/testdata/gateway/mosquitto.db"}, 2, "2 retained messages: start frond"},
		{[]string{"mosquitto", "mosquitto/testdata/open/mosquitto.conf", "--acl", "mosquitto/testdata/open/acl"}, 0, ""},
		{[]string{"mosquitto", "gone.conf"}, 1, "gone.conf"},
		{[]string{"mosquitto", "mosquitto/testdata/open/mosquitto.conf", "--acl"}, 1, "flag needs an argument: --acl"},
		{[]string{"mosquitto", "mosquitto/testdata/open/mosquitto.conf", "--to", "mqtt://x:1"}, 1, "--to needs --db"},
		{[]string{"mosquitto", "mosquitto/testdata/open/mosquitto.conf", "--db", "mosquitto/testdata/gateway/acl"}, 1, "no database of mosquitto"},
		{[]string{"mosquitto", "mosquitto/testdata/open/mosquitto.conf", "--db", "mosquitto/testdata/gateway/mosquitto.db", "--to", "x:1"}, 1, "--to has to be mqtt://"},
		{[]string{"mosquitto", "--what"}, 1, "not defined: --what"},
		{[]string{"emqx", "x"}, 1, "only mosquitto"},
		{nil, 1, "only mosquitto"},
		{[]string{"mosquitto"}, 1, "one configuration file"},
	} {
		var out, told bytes.Buffer
		code := runImport(c.args, &out, &told)
		if code != c.code || !strings.Contains(told.String(), c.want) || (code == 1) != (out.Len() == 0) {
			t.Errorf("%q: %d, %s", c.args, code, &told)
		}
	}
}
