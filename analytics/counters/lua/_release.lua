-- Gives back places and corrects rates. KEYS: slots, then rates. ARGV[3..]: id, span, how many of each; bucket and
-- change of each rate.
local slots, rates = tonumber(ARGV[5]), tonumber(ARGV[6])
for place = 1, slots do
  redis.call('ZREM', KEYS[place], ARGV[3])
end
if rates > 0 then
  local window = window(tonumber(ARGV[4]))
  for place = 1, rates do
    local bucket = tonumber(ARGV[5 + place * 2])
    -- What has left the window stays as it is.
    if bucket >= window.first then
      count(KEYS[slots + place], window, bucket, tonumber(ARGV[6 + place * 2]))
    end
  end
end
