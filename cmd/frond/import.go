//go:build !lite

package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
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
	if err := a.parse(args); err != nil {
		return fail(stderr, fmt.Errorf("import: %w (frond import -h)", err))
	}
	if a.help {
		fmt.Fprint(stdout, help.Usage("import"))
		return 0
	}
	in := mosquitto.Input{Open: readText}
	var err error
	if in.Conf.Name, in.Conf.Text = a.conf, ""; err == nil {
		in.Conf.Text, err = readText(a.conf)
	}
	for _, f := range []struct {
		name string
		at   **mosquitto.File
	}{{a.passwd, &in.Passwd}, {a.acl, &in.ACL}} {
		if err == nil && f.name != "" {
			*f.at = &mosquitto.File{Name: f.name}
			(*f.at).Text, err = readText(f.name)
		}
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

type importArgs struct {
	conf, passwd, acl, db, to string
	help                      bool
}

func (a *importArgs) parse(args []string) error {
	values := map[string]*string{"--passwd": &a.passwd, "--acl": &a.acl, "--db": &a.db, "--to": &a.to}
	var words []string
	for i := 0; i < len(args); i++ {
		name, value, given := strings.Cut(args[i], "=")
		switch at := values[name]; {
		case args[i] == "-h" || args[i] == "--help" || args[i] == "-help":
			a.help = true
			return nil
		case at != nil && !given && i+1 == len(args):
			return fmt.Errorf("%s needs a value", name)
		case at != nil && !given:
			i++
			*at = args[i]
		case at != nil:
			*at = value
		case strings.HasPrefix(name, "-"):
			return fmt.Errorf("unknown flag %q", name)
		default:
			words = append(words, args[i])
		}
	}
	switch {
	case len(words) == 0 || words[0] != "mosquitto":
		return errors.New("only mosquitto can be imported")
	case len(words) != 2:
		return errors.New("one configuration file is needed")
	case a.to != "" && a.db == "":
		return errors.New("--to needs --db")
	}
	a.conf = words[1]
	return nil
}

func readText(name string) (string, error) {
	b, err := os.ReadFile(name)
	return string(b), err
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
