//go:build lite

package config

// listenersRow says who has what the lite build has not.
func listenersRow() field[MQTT] {
	return notYet[MQTT]("listeners", "", "the lite build has one MQTT port; the edge build has several")
}

func listenerSections() []Section { return nil }
