//go:build lite

package config

// listenersRow says who has what the lite build has not.
func listenersRow() field[MQTT] {
	return notYet[MQTT]("listeners", "", "the lite build has one MQTT port; the edge build has several")
}

func (v *validator) mqttListeners() {
	if len(v.o.MQTT.Listeners) > 0 {
		v.errorf("mqtt.listeners", "the lite build has one MQTT port; the edge build has several")
	}
}

func listenerSections() []Section { return nil }
