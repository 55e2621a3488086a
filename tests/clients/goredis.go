// Round trips of go-redis (its version 5, which Debian has): pipelines, transactions, scripts, Pub/Sub, streams.
//
//	GO111MODULE=off GOPATH=/usr/share/gocode go run goredis.go PORT
package main

import (
	"fmt"
	"os"
	"sync"
	"time"

	"gopkg.in/redis.v5"
)

func check(ok bool, what string, got ...interface{}) {
	if !ok {
		fmt.Println("go-redis:", what, got)
		os.Exit(1)
	}
}

func main() {
	client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:" + os.Args[1], PoolSize: 16})
	defer client.Close()
	check(client.FlushAll().Err() == nil, "FLUSHALL")

	// A pipeline over all cores keeps the order of its replies.
	commands, err := client.Pipelined(func(pipe *redis.Pipeline) error {
		for i := 0; i < 500; i++ {
			pipe.Set(fmt.Sprint("p", i), i, time.Minute)
			pipe.Get(fmt.Sprint("p", i))
		}
		return nil
	})
	check(err == nil && len(commands) == 1000, "a pipeline", err)
	for i := 0; i < 500; i++ {
		value, err := commands[2*i+1].(*redis.StringCmd).Int64()
		check(err == nil && value == int64(i), "a pipeline's reply", i, value, err)
	}
	values, err := client.MGet("p1", "missing", "p499").Result()
	check(err == nil && fmt.Sprint(values) == "[1 <nil> 499]", "MGET", values, err)

	// Transactions over all cores, from many connections: both counters of a pair stay equal.
	var group sync.WaitGroup
	for worker := 0; worker < 8; worker++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for i := 0; i < 100; i++ {
				var left, right *redis.IntCmd
				_, err := client.TxPipelined(func(pipe *redis.Pipeline) error {
					left = pipe.Incr(fmt.Sprint("left", i%5))
					right = pipe.Incr(fmt.Sprint("right", i%5))
					return nil
				})
				check(err == nil && left.Val() == right.Val(), "EXEC", left.Val(), right.Val(), err)
			}
		}()
	}
	group.Wait()
	count, err := client.Get("left0").Int64()
	check(err == nil && count == 160, "GET left0", count, err)

	// WATCH: sixteen take turns to move one from a key to another; whoever lost the race tries again.
	check(client.MSet("from", 64, "to", 0).Err() == nil, "MSET")
	for worker := 0; worker < 16; worker++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for moved := 0; moved < 4; {
				err := client.Watch(func(tx *redis.Tx) error {
					from, err := tx.Get("from").Int64()
					if err != nil {
						return err
					}
					to, err := tx.Get("to").Int64()
					if err != nil {
						return err
					}
					_, err = tx.Pipelined(func(pipe *redis.Pipeline) error {
						pipe.Set("from", from-1, 0)
						pipe.Set("to", to+1, 0)
						return nil
					})
					return err
				}, "from", "to")
				switch err {
				case nil:
					moved++
				case redis.TxFailedErr:
				default:
					check(false, "WATCH", err)
				}
			}
		}()
	}
	group.Wait()
	values, err = client.MGet("from", "to").Result()
	check(err == nil && fmt.Sprint(values) == "[0 64]", "what was moved", values, err)

	script := redis.NewScript("redis.call('SET', KEYS[1], ARGV[1]) return redis.call('GET', KEYS[2])")
	for i := 0; i < 100; i++ {
		key := fmt.Sprint("s", i)
		value, err := script.Run(client, []string{key, key}, i).Result()
		check(err == nil && value == fmt.Sprint(i), "a script", value, err)
	}

	// What the library has no method for goes through a command of its own.
	do := func(words ...interface{}) interface{} {
		command := redis.NewCmd(words...)
		check(client.Process(command) == nil, "a command", words, command.Err())
		return command.Val()
	}
	for i := 0; i < 10; i++ {
		do("XADD", "stream", fmt.Sprintf("%d-1", i+1), "n", i)
	}
	do("XGROUP", "CREATE", "stream", "group", "0")
	read := do("XREADGROUP", "GROUP", "group", "me", "COUNT", 2, "STREAMS", "stream", ">")
	check(fmt.Sprint(read) == "[[stream [[1-1 [n 0]] [2-1 [n 1]]]]]", "XREADGROUP", read)
	check(do("XACK", "stream", "group", "1-1") == int64(1), "XACK")
	pending := do("XPENDING", "stream", "group")
	check(fmt.Sprint(pending) == "[1 2-1 2-1 [[me 1]]]", "XPENDING", pending)

	// A list that somebody waits for, and keys found by a scan.
	popped := make(chan []string, 1)
	go func() {
		value, err := client.BLPop(10*time.Second, "queue", "queue2").Result()
		check(err == nil, "BLPOP", err)
		popped <- value
	}()
	for waiting := int64(0); waiting < 1; {
		// Whether it waits already does not matter.
		waiting = client.RPush("queue2", "job").Val()
	}
	check(fmt.Sprint(<-popped) == "[queue2 job]", "what BLPOP got")
	check(client.ZAdd("z", redis.Z{Score: 1.5, Member: "a"}, redis.Z{Score: 2, Member: "b"}).Val() == 2, "ZADD")
	check(fmt.Sprint(client.ZRangeWithScores("z", 0, -1).Val()) == "[{1.5 a} {2 b}]", "ZRANGE")
	found := map[string]bool{}
	for scan := client.Scan(0, "p*", 50).Iterator(); scan.Next(); {
		found[scan.Val()] = true
	}
	check(len(found) == 500, "SCAN", len(found))

	subscriber, err := client.Subscribe("news")
	check(err == nil, "SUBSCRIBE", err)
	defer subscriber.Close()
	check(subscriber.PSubscribe("ne*") == nil, "PSUBSCRIBE")
	for i := 0; i < 2; i++ {
		message, err := subscriber.ReceiveTimeout(10 * time.Second)
		_, ok := message.(*redis.Subscription)
		check(err == nil && ok, "a subscription", message, err)
	}
	check(client.Publish("news", "hello").Val() == 2, "PUBLISH")
	for i := 0; i < 2; i++ {
		message, err := subscriber.ReceiveMessage()
		check(err == nil && message.Channel == "news" && message.Payload == "hello", "a message", message, err)
	}
	fmt.Println("go-redis: all round trips as expected")
}
