// Package config is the daemon's settings: plain structs, their defaults, where they are read
// from (flags, ANABRANCH_* variables, a YAML file) and what is wrong with them. It is the only
// package that imports viper.
package config
