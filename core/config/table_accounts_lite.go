//go:build lite

package config

// accountRows says who has what the lite build has not: everyone is in $G there.
func accountRows() []field[Options] {
	type o = Options
	const edge = "the lite build has no accounts; the edge build has"
	return []field[o]{
		notYet[o]("accounts", "", edge),
		notYet[o]("mappings maps", "", edge),
		notYet[o]("system_account system", "", edge),
	}
}

func accountSections() []Section { return nil }
