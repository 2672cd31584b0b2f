-- needs: _start
-- KEYS[1]: a hash as `register` has it. Forgets what has ended. Answers: name, version, value of each entry.
local found, ended = {}, {}
local all = redis.call('HGETALL', KEYS[1])
for at = 1, #all, 2 do
  if all[at] ~= '' then
    local version, ends, start = string.match(all[at + 1], '^(%d+)|(%d+)|()')
    if tonumber(ends) <= now then
      ended[#ended + 1] = all[at]
    else
      found[#found + 1] = all[at]
      found[#found + 1] = tonumber(version)
      found[#found + 1] = string.sub(all[at + 1], start)
    end
  end
end
for _, name in ipairs(ended) do redis.call('HDEL', KEYS[1], name) end
return found
