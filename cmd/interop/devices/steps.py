"""Steps of a device and a program behind it, by Debian's paho for Python.

Prints what was seen; the caller compares two brokers.
"""
import queue
import sys

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

HOST, PORT = sys.argv[1], int(sys.argv[2])
WAIT = 15


class Client:
    """A client that is told of each answer by a queue."""

    def __init__(self, name, protocol=mqtt.MQTTv311, clean=True, will=None, expiry=None):
        v5 = protocol == mqtt.MQTTv5
        self.c = mqtt.Client(name, protocol=protocol, **({} if v5 else {"clean_session": clean}))
        self.messages, self.connects, self.done = queue.Queue(), queue.Queue(), queue.Queue()
        self.c.on_message = lambda c, u, m: self.messages.put(m)
        self.c.on_connect = lambda c, u, flags, rc, *p: self.connects.put((flags["session present"], int(getattr(rc, "value", rc))))
        self.c.on_publish = lambda c, u, mid: self.done.put(mid)
        self.c.on_subscribe = lambda c, u, mid, codes, *p: self.done.put([int(getattr(x, "value", x)) for x in codes])
        if will:
            self.c.will_set(*will)
        more = {}
        if v5:
            p = Properties(PacketTypes.CONNECT)
            p.SessionExpiryInterval = expiry or 0
            more = {"clean_start": clean, "properties": p}
        self.c.connect(HOST, PORT, **more)
        self.c.loop_start()
        print("connected", name, *self.connects.get(timeout=WAIT))

    def subscribe(self, topic, qos):
        self.c.subscribe(topic, qos)
        print("granted", topic, *self.done.get(timeout=WAIT))

    def publish(self, topic, payload, qos, retain=False, properties=None):
        self.c.publish(topic, payload, qos, retain, properties)
        self.done.get(timeout=WAIT)

    def gets(self, n):
        seen = []
        for _ in range(n):
            m = self.messages.get(timeout=WAIT)
            text = f"{m.topic} {m.qos} {int(m.retain)} {m.payload.decode()}"
            p = getattr(m, "properties", None)
            if p is not None and not p.isEmpty():
                for name in ("UserProperty", "ResponseTopic", "CorrelationData", "ContentType"):
                    if hasattr(p, name):
                        text += f" {name}={getattr(p, name)}"
            seen.append(text)
        print("\n".join("  " + s for s in seen))

    def leave(self, word=True):
        if word:
            self.c.disconnect()
        else:
            self.c._sock_close()
        self.c.loop_stop()


for protocol, name in ((mqtt.MQTTv31, "v31"), (mqtt.MQTTv311, "v311"), (mqtt.MQTTv5, "v5")):
    kept = Client("kept-" + name, protocol, clean=False, expiry=600)
    kept.subscribe(f"py/{name}/#", 2)
    kept.leave()
    pub = Client("pub-" + name, protocol, will=(f"py/{name}/will", "gone", 1, True))
    for qos in (0, 1, 2):
        pub.publish(f"py/{name}/q{qos}", f"with {qos}", qos)
    pub.publish(f"py/{name}/state", "on", 1, retain=True)
    pub.leave(word=False)
    watch = Client("watch-" + name, protocol)
    watch.subscribe(f"py/{name}/will", 1)
    watch.gets(1)
    kept = Client("kept-" + name, protocol, clean=False, expiry=600)
    kept.gets(4)
    kept.leave()
    late = Client("late-" + name, protocol)
    late.subscribe(f"py/{name}/state", 1)
    late.gets(1)
    late.publish(f"py/{name}/state", "", 1, retain=True)
    late.leave()
    watch.leave()

ask, answer = Client("ask", mqtt.MQTTv5), Client("answer", mqtt.MQTTv5)
ask.subscribe("py/answers", 1)
answer.subscribe("py/question", 1)
p = Properties(PacketTypes.PUBLISH)
p.ResponseTopic, p.CorrelationData, p.ContentType = "py/answers", b"\x01\x02", "text/plain"
p.UserProperty = ("unit", "C")
ask.publish("py/question", "how warm", 1, properties=p)
answer.gets(1)
p = Properties(PacketTypes.PUBLISH)
p.CorrelationData = b"\x01\x02"
answer.publish("py/answers", "21", 1, properties=p)
ask.gets(1)
ask.leave()
answer.leave()
