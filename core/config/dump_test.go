package config

import (
	"fmt"
	"net/url"
	"reflect"
	"sort"
	"strings"
)

// dump writes every exported field of a value as "Path = value", so that two
// sets of options can be compared line by line.
func dump(v any) []string {
	var out []string
	dumpValue(&out, "", reflect.ValueOf(v))
	return out
}

func dumpValue(out *[]string, path string, v reflect.Value) {
	if u, ok := v.Interface().(*url.URL); ok {
		*out = append(*out, path+" = "+u.String())
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			*out = append(*out, path+" = set")
			dumpValue(out, path, v.Elem())
		}
	case reflect.Struct:
		if _, ok := v.Interface().(Position); ok {
			return
		}
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() {
				dumpValue(out, strings.TrimPrefix(path+"."+f.Name, "."), v.Field(i))
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			dumpValue(out, fmt.Sprintf("%s[%d]", path, i), v.Index(i))
		}
	case reflect.Map:
		var lines []string
		for _, k := range v.MapKeys() {
			lines = append(lines, fmt.Sprintf("%s[%v] = %v", path, k, v.MapIndex(k)))
		}
		sort.Strings(lines)
		*out = append(*out, lines...)
	case reflect.String:
		*out = append(*out, fmt.Sprintf("%s = %q", path, v.String()))
	default:
		*out = append(*out, fmt.Sprintf("%s = %v", path, v.Interface()))
	}
}

// changed lists what differs from the defaults.
func changed(o *Options) []string {
	was := make(map[string]bool)
	for _, l := range dump(Defaults()) {
		was[l] = true
	}
	var out []string
	for _, l := range dump(o) {
		if !was[l] && !strings.HasPrefix(l, "Digest = ") {
			out = append(out, l)
		}
	}
	return out
}
