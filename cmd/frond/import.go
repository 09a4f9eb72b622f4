//go:build !lite

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"time"

	"github.com/frondmq/frond/cmd/frond/help"
	"github.com/frondmq/frond/cmd/frond/mosquitto"
)

// importPatience is how long a broker has for an answer.
const importPatience = 30 * time.Second

// runImport makes a configuration of another broker's. Its exit code is 2 when
// something of it is not carried.
func runImport(args []string, stdout, stderr io.Writer) int {
	var a importArgs
	if err := a.parse(args); errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(stdout, help.Usage("import"))
		return 0
	} else if err != nil {
		return fail(stderr, fmt.Errorf("import: %w", err))
	}
	text, err := readText(a.conf)
	in := mosquitto.Input{Conf: mosquitto.File{Name: a.conf, Text: text}, Open: readText}
	if err == nil {
		in.Passwd, err = given(a.passwd)
	}
	if err == nil {
		in.ACL, err = given(a.acl)
	}
	if err != nil {
		return fail(stderr, err)
	}
	conf, notes := mosquitto.Convert(in)
	if a.db != "" {
		if err := a.retained(stderr, &notes); err != nil {
			return fail(stderr, fmt.Errorf("%s: %w", a.db, err))
		}
	}
	fmt.Fprint(stdout, conf)
	for _, n := range notes {
		fmt.Fprintln(stderr, n)
	}
	if len(notes) > 0 {
		fmt.Fprintf(stderr, "not carried: %d\n", len(notes))
		return 2
	}
	return 0
}

func readText(name string) (string, error) {
	b, err := os.ReadFile(name)
	return string(b), err
}

// given is a file that a flag names, nil for none.
func given(name string) (*mosquitto.File, error) {
	if name == "" {
		return nil, nil
	}
	text, err := readText(name)
	return &mosquitto.File{Name: name, Text: text}, err
}

// retained sends the retained messages of the database, if it was said where to.
func (a *importArgs) retained(stderr io.Writer, notes *[]mosquitto.Note) error {
	b, err := os.ReadFile(a.db)
	if err != nil {
		return err
	}
	all, err := mosquitto.ReadRetained(b)
	if err != nil || len(all) == 0 {
		return err
	}
	if a.to == "" {
		*notes = append(*notes, mosquitto.Note{File: a.db, Why: fmt.Sprintf(
			"%d retained messages: start frond with the new configuration, then give --to mqtt://HOST:PORT, which sends them", len(all))})
		return nil
	}
	u, err := url.Parse(a.to)
	if err != nil || u.Scheme != "mqtt" || u.Port() == "" {
		return errors.New("--to has to be mqtt://HOST:PORT, with USER:PASSWORD@ in front where users are needed")
	}
	nc, err := net.DialTimeout("tcp", u.Host, importPatience)
	if err != nil {
		return err
	}
	defer nc.Close()
	password, _ := u.User.Password()
	n, err := mosquitto.Send(nc, u.User.Username(), password, all, time.Now(), importPatience)
	fmt.Fprintf(stderr, "retained messages sent: %d of %d\n", n, len(all))
	return err
}
