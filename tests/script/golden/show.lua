-- A Lua value as text that shows everything of it: numbers to the last digit, tables in order.
local function show(v, d) local t = type(v)
if t == 'number' then return string.format('%.17g', v) elseif t == 'string' then return string.format('%q', v)
elseif v == cjson.null then return 'null' elseif t ~= 'table' then return t == 'function' and t or tostring(v) end
if (d or 0) > 20 then return '...' end
local k, r = {}, {} for x in pairs(v) do k[#k + 1] = x end
table.sort(k, function(a, b) if type(a) == type(b) and type(a) ~= 'boolean' then return a < b end return type(a) < type(b) end)
for _, x in ipairs(k) do r[#r + 1] = show(x) .. '=' .. show(v[x], (d or 0) + 1) end return '{' .. table.concat(r, ',') .. '}' end
local function all(...) local r = {} for i = 1, select('#', ...) do r[i] = show((select(i, ...))) end return r end
