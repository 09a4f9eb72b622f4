package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
)

// ParseFile reads a configuration file into options. The error is an Errors
// with everything that is wrong; the options are then not usable.
func ParseFile(path string) (*Options, []Warning, error) {
	text, err := readFile(path, true)
	if err != nil {
		return nil, nil, Errors{{Reason: fmt.Sprintf("error opening config file: %v", err)}}
	}
	o, warns, err := Parse(path, text, Source{ReadFile: ReadFile, Env: os.LookupEnv})
	if o != nil {
		o.File = path
	}
	return o, warns, err
}

// maxFileBytes bounds a configuration file.
const maxFileBytes = 16 << 20

// ReadFile reads an included file, or one that is named in a configuration:
// regular, and of at most 16 MB. Others may never end.
func ReadFile(path string) ([]byte, error) { return readFile(path, false) }

// readFile takes pipes and devices too, if it is told to: a shell makes them.
func readFile(path string, any bool) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() && (!any || info.IsDir()) {
		return nil, &fs.PathError{Op: "read", Path: path, Err: errors.New("it is no regular file")}
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err == nil && len(text) > maxFileBytes {
		err = &fs.PathError{Op: "read", Path: path, Err: fmt.Errorf("it is larger than %d bytes", maxFileBytes)}
	}
	return text, err
}

// Parse reads text as a file of that name. It does not Validate: flags may
// still change options.
func Parse(name string, text []byte, src Source) (*Options, []Warning, error) {
	tree, err := ParseTree(name, text, src)
	if err != nil {
		return nil, nil, Errors{asError(err)}
	}
	d := &decoder{src: src, positions: make(map[string]Position)}
	if len(tree.Map.Entries) == 0 {
		d.warns = append(d.warns, Warning{Reason: name + ": config has no values or is empty"})
	}
	o := Defaults()
	topTable().decode(d, o, "", tree.Map)
	if o.Digest, err = Digest(tree); err != nil {
		return nil, nil, Errors{{Reason: err.Error()}}
	}
	o.positions = d.positions
	if len(d.errs) > 0 {
		return nil, d.warns, d.errs
	}
	return o, d.warns, nil
}

// expandPath puts in "~" for the home folder and variables of the
// environment.
func (d *decoder) expandPath(s string) string {
	env := func(name string) string {
		v, _ := d.src.Env(name)
		return v
	}
	s = os.Expand(s, env)
	if s == "~" || strings.HasPrefix(s, "~/") {
		if home := env("HOME"); home != "" {
			return home + s[1:]
		}
	}
	return s
}

// Reference lists every key of every block, for documentation.
func Reference() []Section {
	return append([]Section{
		topTable().section(""),
		authTable().section("authorization"),
		userTable().section("authorization.users[]"),
		permissionsTable().section("permissions"),
		rulesTable().section("permissions.publish"),
		responsesTable().section("permissions.allow_responses"),
		unixSocketTable().section("unix_socket"),
		peerUserTable().section("unix_socket.users[]"),
		tlsTable().section("tls"),
		certPairTable().section("tls.certs[]"),
		jetStreamTable().section("jetstream"),
		jetStreamLimitsTable().section("jetstream.limits"),
		leafTable().section("leafnodes"),
		leafAuthTable().section("leafnodes.authorization"),
		leafUserTable().section("leafnodes.authorization.users[]"),
		remoteTable().section("leafnodes.remotes[]"),
		compressionTable().section("compression"),
		mqttTable().section("mqtt"),
		mqttAuthTable().section("mqtt.authorization"),
	}, slices.Concat(listenerSections(), webSocketSections(), accountSections())...)
}
