package core_test

import (
	"context"
	"fmt"
	"log"

	"github.com/frondmq/frond/core"
	"github.com/frondmq/frond/core/config"
)

// A server in a program of one's own, with what the program itself says and
// hears.
func Example() {
	o := config.Defaults()
	o.Host, o.Port = "127.0.0.1", -1 // any free port
	s, err := core.New(o, nil, nil)
	if err != nil {
		log.Fatal(err)
	}
	if err := s.Start(); err != nil {
		log.Fatal(err)
	}
	defer s.Shutdown(context.Background())

	heard := make(chan string)
	if _, err := s.Subscribe("rooms.*.temp", "", func(m *core.Message) { heard <- m.Subject + ": " + string(m.Data) }); err != nil {
		log.Fatal(err)
	}
	if err := s.Publish("rooms.kitchen.temp", []byte("20.5")); err != nil {
		log.Fatal(err)
	}
	fmt.Println(<-heard)
	// Output: rooms.kitchen.temp: 20.5
}
