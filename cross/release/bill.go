package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"
)

// The bill of materials of one file, SPDX 2.3 in JSON: what modules at which
// versions are linked into the program in it. See https://spdx.github.io/spdx-spec/v2.3/.
type spdxDocument struct {
	Version      string         `json:"spdxVersion"`
	DataLicence  string         `json:"dataLicense"`
	ID           string         `json:"SPDXID"`
	Name         string         `json:"name"`
	Namespace    string         `json:"documentNamespace"`
	Creation     spdxCreation   `json:"creationInfo"`
	Packages     []spdxPackage  `json:"packages"`
	Relationship []spdxRelation `json:"relationships"`
}

type spdxCreation struct {
	Created  string   `json:"created"`
	Creators []string `json:"creators"`
}

type spdxPackage struct {
	ID          string         `json:"SPDXID"`
	Name        string         `json:"name"`
	Version     string         `json:"versionInfo"`
	Location    string         `json:"downloadLocation"`
	Analyzed    bool           `json:"filesAnalyzed"`
	Concluded   string         `json:"licenseConcluded"`
	Declared    string         `json:"licenseDeclared"`
	Copyright   string         `json:"copyrightText"`
	External    []spdxExternal `json:"externalRefs,omitempty"`
	PrimaryKind string         `json:"primaryPackagePurpose,omitempty"`
}

type spdxExternal struct {
	Category string `json:"referenceCategory"`
	Kind     string `json:"referenceType"`
	Locator  string `json:"referenceLocator"`
}

type spdxRelation struct {
	From string `json:"spdxElementId"`
	Kind string `json:"relationshipType"`
	To   string `json:"relatedSpdxElement"`
}

// bill writes the bill of materials of a file beside it.
func (r *release) bill(file string, program []byte) error {
	mods, err := linked(program)
	if err != nil {
		return err
	}
	doc := newBill(file, r.version, r.at, sha256.Sum256(program), mods)
	name := file + ".spdx.json"
	err = create(filepath.Join(r.out, name), func(w io.Writer) error {
		e := json.NewEncoder(w)
		e.SetIndent("", " ")
		return e.Encode(doc)
	})
	if err == nil {
		r.note(name)
	}
	return err
}

func newBill(file, version string, at time.Time, sum [sha256.Size]byte, mods []module) *spdxDocument {
	const unsaid = "NOASSERTION"
	doc := &spdxDocument{
		Version: "SPDX-2.3", DataLicence: "CC0-1.0", ID: "SPDXRef-DOCUMENT", Name: file,
		Namespace: fmt.Sprintf("https://github.com/frondmq/frond/spdx/%s-%x", file, sum[:8]),
		Creation:  spdxCreation{at.Format(time.RFC3339), []string{"Tool: frond-release"}},
	}
	add := func(id string, p spdxPackage) {
		p.ID, p.Concluded, p.Copyright = id, unsaid, unsaid
		if p.Declared == "" {
			p.Declared = unsaid
		}
		doc.Packages = append(doc.Packages, p)
	}
	add("SPDXRef-frond", spdxPackage{
		Name: "frond", Version: version, Location: "https://github.com/frondmq/frond", Declared: "Apache-2.0", PrimaryKind: "APPLICATION",
	})
	doc.Relationship = append(doc.Relationship, spdxRelation{"SPDXRef-DOCUMENT", "DESCRIBES", "SPDXRef-frond"})
	for _, m := range mods {
		id := "SPDXRef-" + strings.Map(idRune, m.path+"-"+m.version)
		add(id, spdxPackage{
			Name: m.path, Version: m.version, Location: "https://" + m.path,
			External: []spdxExternal{{"PACKAGE-MANAGER", "purl", "pkg:golang/" + m.path + "@" + m.version}},
		})
		doc.Relationship = append(doc.Relationship, spdxRelation{"SPDXRef-frond", "DEPENDS_ON", id})
	}
	return doc
}

// idRune keeps what may stand in an SPDX identifier.
func idRune(r rune) rune {
	switch {
	case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '-':
		return r
	}
	return '-'
}
