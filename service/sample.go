package service

import (
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
)

// Sample is an invented district to look at and to measure with: 100 branches
// and 3,000 members in a tree as large districts have it. Nobody in it exists:
// names are put together from common syllables, and the phone numbers count up
// from 199 0000 0001, a block that reads as made up. The same seed makes the
// same district.
type Sample struct {
	Branch        string     // where the demonstration takes place
	Organisations [][]string // 名称, 类别, 上级组织, 单位性质
	Roster        [][]string // 姓名, 手机号, 党支部, 党小组, 党员类别, 领导班子成员, 职务

	random *rand.Rand
}

// SamplePerson is a member of the sample.
type SamplePerson struct {
	Name  string
	Phone string
	Post  string // as the roster writes it, empty for none
}

const (
	sampleMembers  = 3_000
	sampleBranch   = "区档案馆党支部"
	sampleInBranch = 34 // of which three are probationary
)

// NewSample makes the district of a seed.
func NewSample(seed uint64) *Sample {
	s := &Sample{Branch: sampleBranch, random: rand.New(rand.NewPCG(seed, 0))}
	branches := s.plantTree()
	for i, size := range s.sizes(len(branches)) {
		s.fill(branches[i], size)
	}
	return s
}

// WriteOrganisations writes the tree as an .xlsx that an import reads.
func (s *Sample) WriteOrganisations(w io.Writer) error {
	return writeSample(w, "青禾区组织名单", s.Organisations,
		sheetColumn{"名称", 36}, sheetColumn{"类别", 18}, sheetColumn{"上级组织", 30}, sheetColumn{"单位性质", 12})
}

// WriteRoster writes all members as an .xlsx that an import reads.
func (s *Sample) WriteRoster(w io.Writer) error {
	return writeSample(w, "青禾区党员名册", s.Roster,
		sheetColumn{"姓名", 10}, sheetColumn{"手机号", 14}, sheetColumn{"党支部", 32}, sheetColumn{"党小组", 14},
		sheetColumn{"党员类别", 12}, sheetColumn{"领导班子成员", 14}, sheetColumn{"职务", 16})
}

func writeSample(w io.Writer, title string, rows [][]string, columns ...sheetColumn) error {
	out := sheet{title: title, notes: []string{"示例数据：组织、姓名和号码均为虚构"}, columns: columns}
	for _, row := range rows {
		cells := make([]any, len(row))
		for i, cell := range row {
			cells[i] = cell
		}
		out.rows = append(out.rows, cells)
	}
	return writeTable(w, out)
}

// People are the members of a branch, in the order of the roster.
func (s *Sample) People(branch string) []SamplePerson {
	var people []SamplePerson
	for _, row := range s.Roster {
		if row[2] == branch {
			people = append(people, SamplePerson{Name: row[0], Phone: row[1], Post: row[6]})
		}
	}
	return people
}

// plantTree writes the organisations and returns the branches, that of the
// demonstration first.
func (s *Sample) plantTree() (branches []string) {
	const root = "青禾区党工委"
	add := func(name, kind, superior, unit string) {
		s.Organisations = append(s.Organisations, []string{name, kind, superior, unit})
		if kind == "党支部" {
			branches = append(branches, name)
		}
	}
	add(root, "党工委", "", "机关")

	add("区直机关工委", "机关工委", root, "机关")
	add(sampleBranch, "党支部", "区直机关工委", "机关")
	for _, office := range strings.Fields(`办公室 组织部 宣传部 统战部 政法委 编办 党校 信访局 发改局 科技局 司法局 人社局 审计局 统计局
		应急局 商务局 文旅局 水利局 林业局 医保局 机关事务中心 大数据中心 融媒体中心 总工会 团区委 妇联 残联`) {
		add("区"+office+"党支部", "党支部", "区直机关工委", "机关")
	}
	for _, office := range strings.Fields("财政局 农业农村局 市场监管局 自然资源局") {
		add("区"+office+"党总支", "党总支", "区直机关工委", "机关")
		for _, part := range strings.Fields("机关 业务 离退休") {
			add("区"+office+part+"党支部", "党支部", "区"+office+"党总支", "机关")
		}
	}

	for _, town := range strings.Fields("松溪镇 禾丰镇 石桥镇 望山镇") {
		add(town+"党委", "镇党委", root, "机关")
		add(town+"机关党支部", "党支部", town+"党委", "机关")
		for _, village := range []string{"东庄村", "西坡村", "南洼村", "北岭村", "河口村"} {
			add(town+village+"党支部", "党支部", town+"党委", "村")
		}
	}
	for _, office := range strings.Fields("城东 城西") {
		add(office+"办事处党委", "办事处党委", root, "机关")
		add(office+"办事处机关党支部", "党支部", office+"办事处党委", "机关")
		for _, community := range strings.Fields("和平社区 向阳社区 青年社区 新苑社区") {
			add(office+community, "社区", office+"办事处党委", "社区")
			add(office+community+"党支部", "党支部", office+"办事处党委", "社区")
		}
	}

	add("区教育系统党委", "行业系统主管单位", root, "事业单位")
	for _, school := range strings.Fields("第一中学 第二中学 实验小学 育才小学 特教学校 中心幼儿园") {
		add("区"+school+"党支部", "党支部", "区教育系统党委", "事业单位")
	}
	add("区职业学校党总支", "党总支", "区教育系统党委", "事业单位")
	for _, part := range strings.Fields("教学 后勤") {
		add("区职业学校"+part+"党支部", "党支部", "区职业学校党总支", "事业单位")
	}

	add("区卫生健康系统党委", "行业系统主管单位", root, "事业单位")
	for _, house := range strings.Fields("疾控中心 妇幼保健院 中医院 急救中心") {
		add("区"+house+"党支部", "党支部", "区卫生健康系统党委", "事业单位")
	}
	add("区人民医院党委", "基层党委", "区卫生健康系统党委", "事业单位")
	for _, part := range strings.Fields("内科 外科 医技 行政") {
		add("区人民医院"+part+"党支部", "党支部", "区人民医院党委", "事业单位")
	}

	add("区住房城乡建设系统党委", "行业系统主管单位", root, "机关")
	for _, house := range strings.Fields("城投公司 水务公司 热力公司 公交公司 市政公司 园林公司 燃气公司") {
		add("区"+house+"党支部", "党支部", "区住房城乡建设系统党委", "企业")
	}
	for _, house := range strings.Fields("房产中心 建管中心 质监站") {
		add("区"+house+"党支部", "党支部", "区住房城乡建设系统党委", "事业单位")
	}
	return branches
}

// sizes shares the members out: none of the branches is as large as fifty, at
// which a branch has to become a general branch.
func (s *Sample) sizes(branches int) []int {
	sizes := make([]int, branches)
	sizes[0] = sampleInBranch
	left := sampleMembers - sampleInBranch
	for i := 1; i < len(sizes); i++ {
		sizes[i] = left / (len(sizes) - i)
		left -= sizes[i]
	}
	for range 20 * len(sizes) {
		from, to := 1+s.random.IntN(len(sizes)-1), 1+s.random.IntN(len(sizes)-1)
		if sizes[from] > 12 && sizes[to] < 49 {
			sizes[from]--
			sizes[to]++
		}
	}
	return sizes
}

// fill writes the members of a branch: first its committee, then the leaders
// of its groups.
func (s *Sample) fill(branch string, size int) {
	groups, committee, probationary := 0, 3, s.random.IntN(3)
	switch {
	case branch == sampleBranch:
		groups, probationary = 3, 3
	case size > 30:
		groups, committee = 3, 5
	case size > 20:
		groups = 2
	}
	used := map[string]bool{}
	for i := range size {
		name := s.name()
		for used[name] {
			name = s.name()
		}
		used[name] = true
		group, status, leading, post := "", "正式党员", "否", ""
		if groups > 0 {
			group = "第" + []string{"一", "二", "三"}[i%groups] + "党小组"
		}
		if i >= size-probationary {
			status = "预备党员"
		}
		switch {
		case i == 0:
			leading, post = "是", "书记"
		case i < committee:
			post = "委员"
		case i < committee+groups:
			post = "党小组长"
		}
		if i < committee && s.random.IntN(2) == 0 {
			leading = "是"
		}
		phone := fmt.Sprintf("199%08d", len(s.Roster)+1)
		s.Roster = append(s.Roster, []string{name, phone, branch, group, status, leading, post})
	}
}

// name is two or three characters that make a name, of nobody in particular.
func (s *Sample) name() string {
	pick := func(from []rune) string { return string(from[s.random.IntN(len(from))]) }
	name := pick(sampleSurnames) + pick(sampleGiven)
	if s.random.IntN(5) > 0 {
		name += pick(sampleGiven)
	}
	return name
}

var (
	sampleSurnames = []rune("王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕苏卢蒋蔡贾丁魏薛叶阎余潘杜戴夏钟汪田任姜范方石姚谭廖邹熊金陆郝孔白崔康毛邱秦江史顾侯邵孟龙万段雷钱汤尹黎易常武乔贺赖龚文")
	sampleGiven    = []rune("伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂英华玉兰萍红鹏飞辉宇浩然子轩梓涵思远文博建国志远晓东海燕春梅立新宏达瑞雪嘉怡俊峰佳琪一鸣天翔书瑶若彤景行知夏言秋实安宁")
)
