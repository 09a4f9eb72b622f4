#!/usr/bin/env bash
# paho-mqtt 1.6.1 (Debian 12's python3-paho-mqtt): publish() at QoS 1 before there is
# a connection returns MQTT_ERR_NO_CONN, "not currently connected", like a refusal.
# The message is queued all the same and sent once connected: a program that keeps
# what was refused and publishes it again delivers it twice. At QoS 0 the same code
# means what it says.
# Needs apt, python3, node and npm (for a broker).
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
chmod 755 .
apt-get download -qq python3-paho-mqtt=1.6.1-1 2>/dev/null
dpkg-deb -x python3-paho-mqtt_*.deb root
npm init -y >/dev/null
npm install --silent --no-audit --no-fund aedes@1.2.0 >/dev/null
cat > broker.js <<'JS'
const net = require('net'), { Aedes } = require('aedes')
Aedes.createBroker().then(broker => {
  broker.on('publish', (p, client) => { if (client) console.log('GOT ' + p.payload) })
  const server = net.createServer(broker.handle)
  server.listen(0, '127.0.0.1', () => console.log('PORT ' + server.address().port))
})
JS
node broker.js >broker.log & broker=$!
trap 'kill $broker 2>/dev/null; wait $broker 2>/dev/null || true; rm -rf "$dir"' EXIT
for _ in $(seq 100); do grep -q PORT broker.log && break; sleep 0.1; done
cat > run.py <<'PY'
import sys, threading
sys.path.insert(0, 'root/usr/lib/python3/dist-packages')
import paho.mqtt, paho.mqtt.client as mqtt
client = mqtt.Client('device')
done = threading.Event()
client.on_publish = lambda c, u, mid: done.set()
zero, one = client.publish('t', 'at qos 0', qos=0), client.publish('t', 'at qos 1', qos=1)
print('paho-mqtt', paho.mqtt.__version__, 'QoS 0:', mqtt.error_string(zero.rc), 'QoS 1:', mqtt.error_string(one.rc))
assert zero.rc == one.rc == mqtt.MQTT_ERR_NO_CONN
client.connect('127.0.0.1', int(sys.argv[1]))
client.loop_start()
assert done.wait(10)
client.disconnect()
PY
python3 run.py "$(sed -n 's/PORT //p' broker.log)"
echo "the broker has:" $(grep GOT broker.log)
[ "$(grep -c GOT broker.log)" = 1 ] && grep -q 'GOT at qos 1' broker.log
