package mqtt

import (
	"testing"

	"github.com/frondmq/frond/core/config"
)

// downgrade_qos2_subscribe grants QoS 1, and that is what comes: live, retained and kept.
func TestSubscribe_downgraded(t *testing.T) {
	s := &story{t: t, dir: t.TempDir(), clients: make(map[string]*client), limits: func(o *config.MQTT) { o.DowngradeQoS2 = true }}
	s.start()
	s.run(`
		pub connect
		pub pub t/a retained q2 retain
		dev connect keep`)
	if granted := s.clients["dev"].subscribe("t/#", 2); granted != 1 {
		t.Errorf("granted %d", granted)
	}
	s.run(`
		dev gets t/a retained q1 retain
		pub pub t/b live q2
		dev gets t/b live q1
		dev drop
		pub pub t/b kept q2
		dev connect keep present
		dev gets t/b kept q1
		dev silent`)
}
