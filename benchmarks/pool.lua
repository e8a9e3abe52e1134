-- Requests for wrk: a pool of signed bodies in turn, each under an event id that was never used before.
-- Arguments: pool file, path, label of the run. The pool holds records of (headers, body), ended by 0x1f and 0x1e.

local threads = {}

function setup(thread)
  thread:set("number", #threads)
  table.insert(threads, thread)
end

function init(args)
  issued = 0
  heads, tails = {}, {}
  prefix = args[3] .. "-" .. number .. "-"
  local file = assert(io.open(args[1], "rb"))
  for headers, body in file:read("*a"):gmatch("([^\31]*)\31([^\30]*)\30") do
    heads[#heads + 1] = "POST " .. args[2] .. " HTTP/1.1\r\nHost: 127.0.0.1\r\n" .. headers
      .. "Content-Length: " .. #body .. "\r\nX-Kirim-Event-Id: "
    tails[#tails + 1] = "\r\n\r\n" .. body
  end
  file:close()
  size = #heads
end

function request()
  local at = issued % size + 1
  issued = issued + 1
  return heads[at] .. prefix .. issued .. tails[at]
end

function done(summary, latency, requests)
  local all = 0
  for _, thread in ipairs(threads) do all = all + thread:get("issued") end
  local errors = summary.errors
  io.write(string.format(
    '\n{"issued": %d, "answered": %d, "microseconds": %d, "p50_us": %d, "p99_us": %d, "max_us": %d, '
      .. '"refused": %d, "broken": %d}\n',
    all, summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), latency.max,
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
