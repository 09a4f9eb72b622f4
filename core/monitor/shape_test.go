package monitor

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
)

// What nats-server 2.15 says of an idle server with JetStream, leaf and MQTT
// listeners, in its order.
const varzKeys = `server_id server_name version proto go host port auth_required max_connections ping_interval ping_max
http_host http_port http_base_path https_port auth_timeout max_control_line max_payload max_pending cluster gateway leaf host
port auth_timeout tls_timeout mqtt host port tls_timeout websocket jetstream config max_memory max_storage store_dir sync_interval
domain compress_ok strict stats memory storage reserved_memory reserved_storage accounts ha_assets api level total errors limits
default_max_consumers tls_timeout write_deadline start now uptime mem cores gomaxprocs cpu connections total_connections routes
remotes leafnodes in_msgs in_bytes in_client_msgs in_client_bytes out_msgs out_bytes out_client_msgs out_client_bytes
slow_consumers stale_connections stalled_clients subscriptions http_req_stats config_load_time config_digest feature_flags
system_account slow_consumer_stats clients routes gateways leafs stale_connection_stats clients routes gateways leafs
disk_io_wait_stats waiters waits wait_time max_wait_time`

func TestVarz_hasTheKeysOfNatsServerInItsOrder(t *testing.T) {
	v := Varz{
		AuthRequired: true,
		Leaf:         LeafVarz{Host: "x", Port: 1, AuthTimeout: 2, TLSTimeout: 2},
		MQTT:         MQTTVarz{Host: "x", Port: 1, TLSTimeout: 2},
		JetStream: JetStreamVarz{
			Config: &JetStreamConfig{StoreDir: "x", SyncInterval: 1, Domain: "x", CompressOK: true, Strict: true},
			Stats:  &JetStreamStats{},
			Limits: &JetStreamLimits{DefaultMaxConsumers: 1000},
		},
		FeatureFlags:  map[string]bool{"": true},
		SystemAccount: "$SYS",
		SlowByKind:    &KindCounts{},
		StaleByKind:   &KindCounts{},
	}
	sameKeys(t, v, varzKeys)
}

func TestConnInfo_hasTheKeysOfNatsServerInItsOrder(t *testing.T) {
	sameKeys(t, ConnInfo{Kind: "Client", Type: "nats", RTT: "1ms", Name: "x", Lang: "go", Version: "1", AuthorizedUser: "c",
		SubsDetail: []SubDetail{{Queue: "q"}}, NameTag: "$G"},
		`cid kind type ip port start last_activity rtt uptime idle pending_bytes in_msgs out_msgs in_bytes out_bytes
subscriptions name lang version authorized_user subscriptions_list_detail subject qgroup sid msgs cid name_tag`)
}

func TestLeafz_hasTheKeysOfNatsServerInItsOrder(t *testing.T) {
	sameKeys(t, Leafz{Leafs: []*LeafInfo{{Isolated: true, RTT: "1ms", Subs: []string{"a"}, Compression: "off"}}},
		`server_id now leafnodes leafs id name is_spoke is_isolated account ip port rtt in_msgs out_msgs in_bytes out_bytes
subscriptions subscriptions_list compression`)
}

func TestUserInfo_hasTheKeysOfNatsServerInItsOrder(t *testing.T) {
	sameKeys(t, Answer{Server: &ServerInfo{Domain: "edge"}, Data: &UserInfo{AccountName: "$G"}},
		`server name host id domain ver jetstream flags seq time data user account account_name`)
}

var keyForm = regexp.MustCompile(`"([a-z_]+)":`)

func sameKeys(t *testing.T, v any, want string) {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range keyForm.FindAllStringSubmatch(string(text), -1) {
		got = append(got, m[1])
	}
	if g, w := strings.Join(got, " "), strings.Join(strings.Fields(want), " "); g != w {
		t.Errorf("got\n%s\nwant\n%s", g, w)
	}
}
