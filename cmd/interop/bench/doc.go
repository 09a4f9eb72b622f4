// Command bench puts frond beside nats-server and mosquitto on this machine.
//
// What for: `make bench`. Each line is one load against frond and one rival,
// run in alternating pairs (A B, B A, ...), so that what else the machine does
// hits both alike. It prints both medians and the median of the pairs' ratios
// with its 95 % interval (order statistics: no assumption on the
// distribution); "at least as good" means that the interval reaches 1. Ratios
// are turned so that more than 1 is good for frond.
//
// Behind the comparisons stand figures with a bound and without a rival: what a
// lone message costs a device (a loop device with ext4; where none can be made a
// line says so), and a start on 10,000 streams.
//
// What not: the load generators run on the same cores and cost more than the
// servers do, so the figures are for comparing, not for advertising. There is
// no network between them. Flushes are counted for the whole block device.
//
// Where to start: main.go for the list of loads, pairs.go for the comparison,
// loads_nats.go and loads_mqtt.go for what is done.
package main
