-- Every script begins so. ARGV[1]: now in ms, '' for Redis' own clock. ARGV[2]: the run id of the server we talk to.
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Digits for what is joined to a text: Lua itself would write 1e+15.
local function text(number)
  return string.format('%.0f', number)
end
