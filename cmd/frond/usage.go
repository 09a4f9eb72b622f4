package main

const usage = `Usage: frond [options]
       frond edge [options]     a broker for a gateway: see frond edge -h
       frond hub [options]      the other end: see frond hub -h
       frond passwd             a bcrypt hash of the password on standard input
       frond identity [new]     who a data folder is; a new one for a copied folder
       frond damage             what a server found damaged: see frond damage -h
       frond store              what is in the files of a stopped server: see frond store -h
       frond service            a service of Windows: see frond service -h

frond with a configuration file takes the options of nats-server:

Server Options:
    -a, --addr, --net <host>         Bind to host address (default: 0.0.0.0)
    -p, --port <port>                Use port for clients (default: 4222)
    -n, --name, --server_name <name> Server name (default: auto)
    -P, --pid <file>                 File to store PID
    -m, --http_port <port>           Use port for http monitoring
    -ms,--https_port <port>          Use port for https monitoring
    -c, --config <file>              Configuration file
    -t                               Test configuration and exit
        --json                       With -t: print what was found as JSON
    -sl,--signal <signal>[=<pid>]    Send signal to frond process (stop, quit, term, reopen)
        --client_advertise <string>  Client URL to advertise to other servers
        --ports_file_dir <dir>       Creates a ports file in the specified directory

Logging Options:
    -l, --log <file>                 File to redirect log output
    -T, --logtime=<bool>             Timestamp log entries (default: true)
        --logtime_utc=<bool>         Use UTC time in log entries
    -D, --debug=<bool>               Enable debugging output
    -V, --trace=<bool>               Trace the raw protocol
    -VV, -DV, -DVV                   The same as -V, as -D and -V, as -D and -V
        --log_format <format>        Lines of text, or json (default: text)
        --log_size_limit <bytes>     Rotate the log file when it gets bigger
        --max_traced_msg_len <len>   Maximum length of traced messages

JetStream Options:
    -js, --jetstream                 Enable JetStream functionality
    -sd, --store_dir <dir>           Set the storage directory

Authorization Options:
        --user <user>                User required for connections
        --pass <password>            Password required for connections
        --auth <token>               Authorization token required for connections

TLS Options:
        --tls                        Enable TLS, do not verify clients
        --tlscert <file>             Server certificate file
        --tlskey <file>              Private key for server certificate
        --tlsverify                  Enable TLS, verify client certificates
        --tlscacert <file>           Client certificate CA for verification

Common Options:
    -h, --help                       Show this message
    -v, --version                    Show version
`

const edgeUsage = `Usage: frond edge [options]

A broker for a gateway: NATS on 4222, MQTT on 1883, monitoring on 8222, streams
in ./frond-data. Without a user it listens on this machine only.

    --store SUBJECT...       Keep what is published there in the stream EDGE
    --hub URL                Link to a hub, nats-leaf://user:pass@host:7422 or tls://...;
                             HOST alone is nats-leaf://HOST:7422
    --creds FILE             Log in to the hub with a credentials file
    --mqtt-port PORT         Port for MQTT (default: 1883, with TLS 8883; 0: none)
` + presetUsage

const hubUsage = `Usage: frond hub [options]

The other end: NATS on 4222, leaf nodes on 7422, monitoring on 8222, streams in
./frond-data. Without a user it listens on this machine only.

    --store SUBJECT...       Keep what is published there in the stream EDGE
    --collect NAME           Collect what the edges keep in their stream EDGE in this stream
    --leaf-port PORT         Port for leaf nodes (default: 7422; 0: none)
` + presetUsage

const presetUsage = `    --domain NAME            JetStream domain (default: this machine's name and a word,
                             which stay with the data folder)
    --data DIR               Folder for streams (default: frond-data)
    --listen ADDR            Address to listen on (default: 127.0.0.1, with a user 0.0.0.0)
    --user USER              User and password that everybody needs; the password
    --pass PASSWORD          may be a hash of frond passwd
    --port PORT              Port for NATS clients (default: 4222)
    --http-port PORT         Port for monitoring, on 127.0.0.1 (default: 8222; 0: none)
    --tls-cert FILE          Certificate and key: with them every port speaks TLS,
    --tls-key FILE           monitoring too
    --tls-ca FILE            Where the certificates of clients, if they show one, and
                             of the hub must come from
    --print-config           Print the same as a configuration file, and exit
    -h, --help               Show this message

All other options are set in a configuration file: frond -c FILE.
`

// usage is what the preset's -h prints.
func (p *preset) usage() string {
	if p.edge {
		return edgeUsage
	}
	return hubUsage
}
