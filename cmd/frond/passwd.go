package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/crypto/bcrypt"

	"github.com/frondmq/frond/cmd/frond/help"
)

// maxPassword is what bcrypt looks at; more would be cut in silence.
const maxPassword = 72

// runPasswd makes a hash of a password that it reads: in the arguments others
// on the machine could see it.
func runPasswd(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if len(args) > 0 {
		if args[0] == "-h" || args[0] == "--help" || args[0] == "-help" {
			fmt.Fprint(stdout, help.Usage("passwd"))
			return 0
		}
		return fail(stderr, errors.New("passwd takes no arguments: it reads the password from standard input"))
	}
	line, err := bufio.NewReader(stdin).ReadString('\n')
	if err != nil && err != io.EOF {
		return fail(stderr, fmt.Errorf("reading the password: %w", err))
	}
	password := strings.TrimRight(line, "\r\n")
	switch {
	case password == "":
		return fail(stderr, errors.New("no password on standard input"))
	case len(password) > maxPassword:
		return fail(stderr, fmt.Errorf("the password has %d bytes, bcrypt takes %d at most", len(password), maxPassword))
	}
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.DefaultCost)
	if err != nil {
		return fail(stderr, err)
	}
	fmt.Fprintf(stdout, "%s\n", hash)
	return 0
}
