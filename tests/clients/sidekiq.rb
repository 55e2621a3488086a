# Sidekiq, jobs from the client to the worker and back: sidekiq.rb PORT. The worker loads this file as well.
#
# Plain jobs, jobs of a batch push, one in the future, one that fails at first and is tried again, and one that is taken back
# before its time; what has run is in a hash of its own. Sidekiq's counts are compared at the end.
require "sidekiq"
require "sidekiq/api"

URL = "redis://127.0.0.1:#{ENV.fetch("RONDO_PORT") { ARGV.fetch(0) }}/3"
Redis.silence_deprecations = true if Redis.respond_to?(:silence_deprecations=)
Sidekiq.configure_client { |config| config.redis = { url: URL } }
Sidekiq.configure_server do |config|
  config.redis = { url: URL }
  config.options[:poll_interval_average] = 1
end

# Says that it has run.
class Note
  include Sidekiq::Worker

  def perform(name)
    Sidekiq.redis { |redis| redis.hincrby("ran", name, 1) }
  end
end

# Fails the first time.
class Stumble
  include Sidekiq::Worker
  sidekiq_options retry: 3
  sidekiq_retry_in { 1 }

  def perform(name)
    tries = Sidekiq.redis { |redis| redis.hincrby("ran", name, 1) }
    raise "stumbled" if tries < 2
  end
end

def check(what, expected, got)
  abort "sidekiq: #{what}: expected #{expected.inspect}, got #{got.inspect}" unless expected == got
end

def ran
  Sidekiq.redis { |redis| redis.hgetall("ran") }
end

if $PROGRAM_NAME == __FILE__
  expected = {}
  100.times { |number| expected["plain:#{number}"] = "1" }
  expected.each_key { |name| Note.perform_async(name) }
  batch = (0...1000).map { |number| ["batch:#{number}"] }
  check "pushed at once", 1000, Sidekiq::Client.push_bulk("class" => Note, "args" => batch).count
  batch.each { |(name)| expected[name] = "1" }
  Note.perform_in(2, "later")
  expected["later"] = "1"
  Stumble.perform_async("stumble")
  expected["stumble"] = "2"
  gone = Note.perform_in(600, "gone")
  check "waiting", 1101, Sidekiq::Queue.new.size
  check "scheduled", 2, Sidekiq::ScheduledSet.new.size
  check "taken back", true, !!Sidekiq::ScheduledSet.new.find_job(gone).delete

  environment = { "RONDO_PORT" => ARGV.fetch(0), "RAILS_ENV" => "test" }
  log = IO.popen(["mktemp"], &:read).strip
  worker = Process.spawn(environment, "sidekiq", "-r", File.expand_path(__FILE__), "-c", "5", out: log, err: log)
  begin
    deadline = Process.clock_gettime(Process::CLOCK_MONOTONIC) + 60
    until ran == expected
      if Process.clock_gettime(Process::CLOCK_MONOTONIC) > deadline
        missing = expected.reject { |name, times| ran[name] == times }.keys.first(5)
        abort "sidekiq: not run in a minute: #{missing}; #{File.read(log)[-2000..] || File.read(log)}"
      end
      sleep 0.1
    end
  ensure
    Process.kill("TERM", worker)
    Process.wait(worker)
    File.delete(log)
  end
  stats = Sidekiq::Stats.new
  check "left", [0, 0, 0, 0], [stats.enqueued, stats.scheduled_size, stats.retry_size, stats.dead_size]
  check "failed", 1, stats.failed
  check "processed", expected.size + 1, stats.processed
  puts "sidekiq #{Sidekiq::VERSION}: plain, bulk, scheduled, retried and deleted jobs are fine"
end
