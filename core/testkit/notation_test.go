package testkit

import (
	"strings"
	"testing"
)

func TestJSON(t *testing.T) {
	for text, want := range map[string]string{
		``:                                   `{}`,
		`name=S`:                             `{"name":"S"}`,
		` b=1  a=2 `:                         `{"b":1,"a":2}`,
		`no_wait batch=3`:                    `{"no_wait":true,"batch":3}`,
		`subjects=[s.>,*.t,"a b"]`:           `{"subjects":["s.>","*.t","a b"]}`,
		`subjects=[]`:                        `{"subjects":[]}`,
		`a=-1 b=0.5 c=01 d=1.`:               `{"a":-1,"b":0.5,"c":"01","d":"1."}`,
		`a=1h30m b=20ms c=3d d=-1s`:          `{"a":5400000000000,"b":20000000,"c":"3d","d":"-1s"}`,
		`a=true b=false c=null d="true"`:     `{"a":true,"b":false,"c":null,"d":"true"}`,
		`a="5" b="1h" c="" d="\"\u00e9\n"`:   `{"a":"5","b":"1h","c":"","d":"\"é\n"}`,
		`m={} n={a=1 o={b}} l=[{a=1},[2]]`:   `{"m":{},"n":{"a":1,"o":{"b":true}},"l":[{"a":1},[2]]}`,
		`t=2001-01-01T00:00:00Z f=$JS.API.>`: `{"t":"2001-01-01T00:00:00Z","f":"$JS.API.>"}`,
	} {
		if got := JSON(t, text); got != want {
			t.Errorf("%s is %s, want %s", text, got, want)
		}
	}
}

func TestJSON_refuses(t *testing.T) {
	for text, want := range map[string]string{
		`{"name":"S"}`:     `at 0: no name of a field`,
		`name=`:            `at 5: no value`,
		`a= b`:             `at 2: no value`,
		`=b`:               `at 0: no name`,
		`a=b=c`:            `at 3: no name`,
		`a=1,b=2`:          `at 3: no name`,
		`a=1 a`:            `at 4: a is there twice`,
		`a="b`:             `at 2: a quote that does not end`,
		`a="b"c`:           `at 5: no blank before a field`,
		`a=[b c]`:          `at 4: no comma in a list`,
		`a=[b,]`:           `at 5: no value`,
		`a=[b`:             `at 4: no comma in a list`,
		`a={b=1`:           `at 6: no name`,
		`a={b=1}}`:         `at 7: no name`,
		`a=]`:              `at 2: no value`,
		`a=9999999999999h`: `invalid duration`,
		"a=1 \x00":         `at 4: no name`,
	} {
		got, err := fromNotation(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s is %s, %v; want %s", text, got, err, want)
		}
	}
}
