// Package mosquitto reads what a mosquitto broker is configured by, and what it has
// kept: a configuration, users, rights, and the retained messages of its database. It
// makes a configuration of frond, and says of each line that it can't carry why.
//
// The facts are those of mosquitto.conf(5) and mosquitto_passwd(1); the database is
// known by what mosquitto 2.0 writes. It knows nothing of servers, and changes no
// file. It is no promise to other programs.
//
// Start reading at convert.go.
package mosquitto
